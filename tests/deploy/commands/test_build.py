"""`patchline build`: a bank file from a folder, and what is shown of the work."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import pytest
import structlog

from deploy.commands.build import build
from deploy.errors import UsageError
from deploy.offline.folder_groups import example_frames, labelled_frames
from deploy.offline.score_image import ImageScorer
from deploy.settings import read_settings
from ingest.decision import Reason, Verdict
from softpatch.bank import bank_from_bytes, bank_version
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from pathlib import Path

CPU = ["runtime.provider=cpu", "runtime.threads=1"]
SMALL = "views.*.build={geometry: {mode: squash, height_px: 64, width_px: 64}, coreset_cap: 200}"


@pytest.mark.slow
def test_a_folder_becomes_a_bank_and_every_stage_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bank is of these pictures; each stage leaves a line; the JSON has the facts of the file."""
    folder, out, document = tmp_path / "parts", tmp_path / "new" / "bank.safetensors", tmp_path / "facts.json"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    with structlog.testing.capture_logs():
        build(folder=folder, out=out, view="line-1/top", flags=[*CPU, SMALL], json=document)
    data = out.read_bytes()
    bank, facts, text = bank_from_bytes(data), json.loads(document.read_text()), capsys.readouterr().out
    assert bank.manifest.frame_names == [f"{number}.jpg" for number in range(8)]
    assert (facts["version"], facts["view"], facts["frames"]) == (bank_version(data), "line-1/top", 8)
    assert re.findall(r"✓ Build: (\w+)", text) == ["embed", "denoise", "subsample", "calibrate", "plant"]
    assert f"Next: patchline score IMAGE --bank {out}" in text


@pytest.mark.slow
def test_the_rate_that_the_settings_give_limits_the_input(tmp_path: Path) -> None:
    """A million frames a second: an eighth of the pixels, the least, is what this machine comes nearest by."""
    out = tmp_path / "bank.safetensors"
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    few = "views.*.build={most_input_px: 65536, frames_per_second: 1000000, coreset_cap: 200}"
    with structlog.testing.capture_logs():
        build(folder=tmp_path, out=out, view="line-1/top", flags=[*CPU, few], json=None)
    geometry = bank_from_bytes(out.read_bytes()).manifest.geometry
    assert (geometry.width_px, geometry.height_px) == (96, 96)


@pytest.fixture(scope="module")
def scratched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty plates, of which every fifth has the same scratch."""
    folder = tmp_path_factory.mktemp("parts")
    for number in range(40):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(number, defect=number % 5 == 0))
    return folder


@pytest.fixture(scope="module")
def asked(scratched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bank of them, as it is first built."""
    out = tmp_path_factory.mktemp("asked") / "bank.safetensors"
    with structlog.testing.capture_logs():
        build(folder=scratched, out=out, flags=[*CPU, SMALL])
    return out


def verdicts(bank: Path) -> dict[str, str]:
    """Of a scratched plate and a good one, neither of which the bank was built from."""
    scorer = ImageScorer.of(bank.read_bytes(), read_settings(None, {}, CPU))
    rulings = {name: scorer.score(jpeg(100, defect=name == "scratched")).ruling for name in ("scratched", "good")}
    return {name: each.verdict if each.reason is None else each.reason for name, each in rulings.items()}


@pytest.mark.slow
def test_a_group_is_shown_and_not_learnt(scratched: Path, asked: Path, tmp_path: Path) -> None:
    """Its eight pictures are named, and drawn beside the bank; its frames fail until a person says otherwise."""
    bank = bank_from_bytes(asked.read_bytes())
    (group,) = bank.manifest.groups
    assert (group.label, sorted(group.members)) == ("open", [f"{number:02}.jpg" for number in range(0, 40, 5)])
    picture = cv2.imread(str(asked.with_name("bank-groups") / f"{group.id}.png"))
    assert picture is not None
    assert verdicts(asked) == {"scratched": Verdict.FAIL, "good": Verdict.PASS}
    assert [name for name, _ in example_frames(scratched, group)] == group.examples
    assert example_frames(tmp_path, group) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "outcome"), [("good", Verdict.PASS), ("defect", Verdict.FAIL), ("no-part", Reason.NO_PART)]
)
def test_a_label_decides_what_a_group_is(
    word: str, outcome: str, scratched: Path, asked: Path, *, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same command, with the bank that has the group still in its place; good plates pass as before."""
    out = tmp_path / "bank.safetensors"
    shutil.copy(asked, out)
    (group,) = bank_from_bytes(out.read_bytes()).manifest.groups
    with structlog.testing.capture_logs():
        build(folder=scratched, out=out, label=[f"{group.id[:5]}={word}"], flags=[*CPU, SMALL])
    assert verdicts(out) == {"scratched": outcome, "good": Verdict.PASS}
    (labelled,) = bank_from_bytes(out.read_bytes()).manifest.groups
    assert (labelled.id, labelled.label, labelled.is_new) == (group.id, word.replace("-", "_"), False)
    text = capsys.readouterr().out
    assert f"Group {group.id} {word.replace('-', ' ')}: 8 frames (20.0 %)" in text
    assert "200 patches from 40 pictures" in text
    assert "Open groups" not in text


@pytest.mark.slow
def test_a_label_without_its_group_is_wrong_use(scratched: Path, asked: Path, tmp_path: Path) -> None:
    """A word that is none, a bank that is not there, a group that it has not, pictures that are elsewhere."""
    bank = bank_from_bytes(asked.read_bytes())
    known = bank.manifest.groups[0].id
    with pytest.raises(UsageError, match="--label g1=fine gives no label: write GROUP=WORD with one of open, good"):
        build(folder=scratched, out=asked, label=["g1=fine"])
    with pytest.raises(UsageError, match="which does not exist: build it once without --label"):
        build(folder=scratched, out=tmp_path / "none", label=["g1=good"])
    with pytest.raises(UsageError, match=f"--label x: 0 groups of the bank have such an id; it has {known}"):
        build(folder=scratched, out=asked, label=["x=good"])
    with pytest.raises(UsageError, match=f"has no picture of group {known}: name the folder that it was found in"):
        labelled_frames(bank, {known: "good"}, tmp_path)
    assert labelled_frames(bank, {}, tmp_path) == []


@pytest.mark.slow
def test_labels_that_a_group_has_are_kept(scratched: Path, asked: Path) -> None:
    """A second word takes no earlier one away."""
    bank = bank_from_bytes(asked.read_bytes())
    first = bank.manifest.groups[0]
    other = first.model_copy(update={"id": "h1", "label": "defect"})
    both = replace(bank, manifest=bank.manifest.model_copy(update={"groups": [first, other]}))
    found = labelled_frames(both, {first.id: "good"}, scratched)
    assert [(each.id, each.label, len(each.frames)) for each in found] == [(first.id, "good", 8), ("h1", "defect", 8)]
