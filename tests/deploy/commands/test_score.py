"""`patchline score`: one picture for a person, many for a script, and pictures that show nothing to judge."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog

from deploy.commands.score import score
from deploy.errors import CommandFailed, UsageError
from deploy.offline import opened_bank
from deploy.output.score_rows import COLUMNS, RowFormat
from ingest.decision import Verdict
from softpatch.bank import bank_from_bytes, bank_to_bytes
from softpatch.images.decode import decode
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from tests.inference.sample_bank import encoded, jpeg, sample_bank

if TYPE_CHECKING:
    from pathlib import Path

CPU = ["runtime.provider=cpu", "runtime.threads=1"]
BLACK = encoded(np.zeros((96, 96, 3), np.uint8), ".png")
WHITE = encoded(np.full((96, 96, 3), 255, np.uint8), ".png")


@pytest.fixture(scope="module")
def bank_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bank of eight plates."""
    path = tmp_path_factory.mktemp("bank") / "bank.safetensors"
    path.write_bytes(bank_to_bytes(sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a good plate, a scratched one, a covered lens, glare, and a file that is no picture."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    contents = {
        "a-good.jpg": jpeg(3),
        "b-scratch.jpg": jpeg(3, defect=True),
        "c-black.png": BLACK,
        "d-white.png": WHITE,
    }
    for name, data in {**contents, "e-broken.jpg": b"\xff\xd8 no picture"}.items():
        (folder / name).write_bytes(data)
    return folder


def score_by_definition(bank_file: Path, data: bytes) -> float:
    """The score by the library alone."""
    bank, embedder = bank_from_bytes(bank_file.read_bytes()), OnnxEmbedder.open(lite0(), provider="cpu", threads=1)
    on_input = bank.manifest.geometry.apply(decode(data))
    return Scorer(bank, FlatSearch(bank.vectors, threads=1)).score(embedder.embed(on_input[None]))[0].score


def scored_rows(bank_file: Path, images: list[Path], out: Path, *flags: str) -> list[dict[str, object]]:
    """The JSON lines of a run in which every picture could be scored."""
    score(images=images, bank=bank_file, out=out, flags=[*CPU, *flags])
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_many_pictures_are_rows_and_those_without_a_score_say_why(
    bank_file: Path, pictures: Path, tmp_path: Path
) -> None:
    """The others are scored all the same; a picture named beside a folder is one row more."""
    out, document = tmp_path / "new" / "rows.jsonl", tmp_path / "rows.json"
    with pytest.raises(CommandFailed, match=r"^2 of 6 pictures could not be scored; their rows say why$"):
        score(images=[pictures, tmp_path / "none.jpg"], bank=bank_file, out=out, json=document, flags=CPU)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    names = sorted(each.name for each in pictures.iterdir())
    assert [row["image"].rpartition("/")[2] for row in rows] == [*names, "none.jpg"]
    assert [row.get("verdict") for row in rows] == ["pass", "fail", "undecided", "undecided", None, None]
    assert rows[0]["score"] == score_by_definition(bank_file, jpeg(3))
    assert rows[1]["score"] == score_by_definition(bank_file, jpeg(3, defect=True))
    assert rows[4] == {"image": str(pictures / "e-broken.jpg"), "error": rows[4]["error"]}
    assert rows[5] == {"image": str(tmp_path / "none.jpg"), "error": "cannot read it: No such file or directory"}
    assert json.loads(document.read_text())["images"] == rows


def test_csv_has_one_flat_row_per_picture(bank_file: Path, pictures: Path, tmp_path: Path) -> None:
    """The numbers are written whole: they read back to the very score."""
    out = tmp_path / "rows.csv"
    (pictures / "e-broken.jpg").unlink()
    score(images=[pictures], bank=bank_file, out=out, flags=CPU)
    with out.open(newline="") as file:
        good, scratch, black, _ = csv.DictReader(file)
    assert tuple(good) == COLUMNS
    assert (good["verdict"], good["worst_box_xyxy_px"], good["error"]) == ("pass", "", "")
    assert float(scratch["score"]) == score_by_definition(bank_file, jpeg(3, defect=True))
    box = [int(side) for side in scratch["worst_box_xyxy_px"].split()]
    assert box[0] < 48 and box[2] > 32 and box[1] < 64 and box[3] > 32  # noqa: PT018 -- the scratch lies in it
    assert (black["verdict"], black["reason"], black["input_fault"]) == ("undecided", "input_fault", "black")


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [("undecided", Verdict.UNDECIDED), ("pass", Verdict.PASS), ("fail", Verdict.FAIL), ("inspect", Verdict.FAIL)],
)
def test_a_picture_that_shows_nothing_is_decided_by_its_views_policy(
    bank_file: Path, pictures: Path, tmp_path: Path, policy: str, verdict: Verdict
) -> None:
    """As on a line; with `inspect` by its score, which is high: no plate was ever black. The fault is always named."""
    images = [pictures / "c-black.png", pictures / "d-white.png"]
    rows = scored_rows(bank_file, images, tmp_path / "rows.jsonl", f"views.*.input_fault={policy}")
    assert [(row["verdict"], row["input_fault"]) for row in rows] == [(verdict, "black"), (verdict, "overexposed")]


def test_one_black_picture_is_named_an_input_fault(
    bank_file: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It used to be a plain fail: a person looked for the defect."""
    with structlog.testing.capture_logs():
        score(images=[pictures / "c-black.png"], bank=bank_file, flags=CPU)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("UNDECIDED  score ")
    assert second == "  input fault: black; the picture shows nothing to judge"


def test_one_picture_is_reported_to_a_person_and_drawn(
    bank_file: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdict, figures and boxes; the JSON has the same."""
    heat, document = tmp_path / "heat.png", tmp_path / "one.json"
    with structlog.testing.capture_logs():
        score(images=[pictures / "b-scratch.jpg"], bank=bank_file, overlay=heat, json=document, flags=CPU)
    text, found = capsys.readouterr().out, json.loads(document.read_text())
    assert text.startswith(f"FAIL  score {found['score']:.4g}, threshold {found['threshold']:.4g}, ratio ")
    assert " px: " in text.splitlines()[1]
    assert decode(heat.read_bytes()).shape == (96, 96, 3)


def test_the_bank_is_opened_once_for_all_pictures(
    bank_file: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so is the network."""
    opened = []
    embedder_of = opened_bank.embedder_of
    monkeypatch.setattr(opened_bank, "embedder_of", lambda runtime: opened.append(runtime) or embedder_of(runtime))
    assert len(scored_rows(bank_file, [pictures / "a-good.jpg"] * 3, tmp_path / "rows.jsonl")) == 3
    assert len(opened) == 1


def test_without_a_format_many_pictures_are_lines_for_a_person(
    bank_file: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verdict, ratio, name; and the fault."""
    with structlog.testing.capture_logs(), pytest.raises(CommandFailed):
        score(images=[pictures], bank=bank_file, flags=CPU)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["PASS", "FAIL", "UNDECIDED", "UNDECIDED", "NOT"]
    assert lines[2].endswith("c-black.png  (black)")


def test_wrong_use_is_reported_before_the_bank_is_read(pictures: Path, tmp_path: Path) -> None:
    """A format nobody knows, a heat map of many, a folder without pictures."""
    none = tmp_path / "none.safetensors"
    with pytest.raises(UsageError, match=r"rows\.txt has no known format: name a \.csv or \.jsonl file, or "):
        score(images=[pictures], bank=none, out=tmp_path / "rows.txt")
    with pytest.raises(UsageError, match="--overlay draws one picture"):
        score(images=[pictures], bank=none, overlay=tmp_path / "heat.png")
    with pytest.raises(ValueError, match="holds no images"):
        score(images=[tmp_path], bank=none)


def test_a_named_format_counts_over_the_files_ending(bank_file: Path, pictures: Path, tmp_path: Path) -> None:
    """For a file with an ending of its own."""
    out = tmp_path / "rows.txt"
    score(images=[pictures / "a-good.jpg"], bank=bank_file, out=out, row_format=RowFormat.CSV, flags=CPU)
    assert out.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_one_picture_that_cannot_be_read_is_one_sentence(bank_file: Path, pictures: Path) -> None:
    """With the name of the file, and why."""
    with pytest.raises(CommandFailed, match=r"e-broken\.jpg: "):
        score(images=[pictures / "e-broken.jpg"], bank=bank_file, flags=CPU)
    with pytest.raises(CommandFailed, match=r"cannot read .*none\.jpg: No such file"):
        score(images=[pictures / "none.jpg"], bank=bank_file, flags=CPU)
    with pytest.raises(CommandFailed, match=r"cannot read .*none\.safetensors: No such file"):
        score(images=[pictures / "a-good.jpg"], bank=pictures / "none.safetensors", flags=CPU)
