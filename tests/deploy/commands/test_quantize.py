"""`patchline quantize`: a network in integers, tried on the pictures that it was made for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.commands import quantize as command
from deploy.commands.quantize import quantize
from deploy.errors import CommandFailed
from deploy.offline.quantised_network import verdict_changes
from softpatch.building.trial_bank import TrialScores, thresholds
from softpatch.building.window import TooFewFrames
from softpatch.network.graph import load_graph
from tests.inference.sample_bank import jpeg
from tests.softpatch.network.small_network import small_network

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.offline.quantised_network import QuantisedNetwork

SMALL = "views.*.build={geometry: {mode: squash, height_px: 64, width_px: 64}, coreset_cap: 200}"


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """A small network in fp32."""
    backbone = tmp_path / "small.onnx"
    backbone.write_bytes(small_network().model)
    return [f"runtime.backbone={backbone}", "runtime.threads=1", SMALL]


@pytest.fixture
def plates(tmp_path: Path) -> Path:
    """Thirty-six plates."""
    folder = tmp_path / "plates"
    folder.mkdir()
    for number in range(36):
        (folder / f"{number:02}.jpg").write_bytes(jpeg(number))
    return folder


@pytest.mark.slow
def test_the_network_is_written_and_its_figures_shown(
    plates: Path, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of two thirds of each line's pictures, which did not measure it; nothing else is left beside the file."""
    other = shutil.copytree(plates, tmp_path / "other")
    for file in sorted(other.iterdir())[30:]:
        file.unlink()
    out, document = tmp_path / "made" / "small-int8.onnx", tmp_path / "facts.json"
    quantize(folders=[plates, other], out=out, most_changed=1.0, most_lost=1.0, flags=flags, json=document)
    made, facts, text = load_graph(out), json.loads(document.read_text()), capsys.readouterr().out
    assert (made.name, made.precision, made.hash) == ("small-int8", "int8", facts["graph_hash"])
    assert [each["verdicts"]["frames"] for each in facts["folders"]] == [24, 20]
    assert facts["auroc_loss"] == max(
        each["verdicts"]["auroc"][0] - each["verdicts"]["auroc"][1] for each in facts["folders"]
    )
    assert facts["changed_ratio"] == max(each["verdicts"]["changed_ratio"] for each in facts["folders"])
    for each in facts["folders"]:
        assert 0 < each["embedding_error"] < 0.2
        assert each["verdicts"]["plants"] == 320
        assert each["verdicts"]["rank_correlation"] > 0.5
        assert min(each["frame_milliseconds"]["int8"].values()) > 0
    assert "planted defects found" in text
    assert f"Next: runtime.backbone: {out}" in text
    assert [file.name for file in out.parent.iterdir()] == [out.name]


@pytest.mark.slow
def test_where_too_many_are_decided_otherwise_nothing_is_written(
    plates: Path, flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shares of pictures and of planted defects, and what AUROC falls by, each for itself; the JSON says it."""
    real = command.quantise_for_folders

    def otherwise(*arguments: object, **words: object) -> QuantisedNetwork:
        made = real(*arguments, **words)  # type: ignore[arg-type]
        (trial,) = made.trials
        verdicts = replace(trial.verdicts, frames_changed=3, plants_changed=0, auroc=(0.8, 0.78))
        return replace(made, trials=(replace(trial, verdicts=verdicts),))

    monkeypatch.setattr(command, "quantise_for_folders", otherwise)
    out, document = tmp_path / "small-int8.onnx", tmp_path / "facts.json"
    with pytest.raises(
        CommandFailed, match=r"^12\.5% are decided otherwise, more than --most-changed 10\.0%: nothing is"
    ):
        quantize(folders=[plates], out=out, most_changed=0.1, most_lost=0.05, flags=flags, json=document)
    with pytest.raises(
        CommandFailed, match=r"^the AUROC of planted defects falls by 0\.020, more than --most-lost 0\.01: nothing is"
    ):
        quantize(folders=[plates], out=out, most_changed=0.2, flags=flags, json=document)
    assert not out.exists()
    assert json.loads(document.read_text())["taken"] is False


def test_a_handful_of_pictures_is_too_few(plates: Path, flags: list[str], tmp_path: Path) -> None:
    """They would have to measure it and to judge it."""
    for file in sorted(plates.iterdir())[10:]:
        file.unlink()
    with pytest.raises(TooFewFrames, match=r"plates has 10 pictures; 30 are needed to measure a network and judge it$"):
        quantize(folders=[plates], out=tmp_path / "out.onnx", flags=flags)


@pytest.mark.slow
def test_a_network_in_integers_is_not_quantised_again(plates: Path, flags: list[str], tmp_path: Path) -> None:
    """The message names what to change."""
    out = tmp_path / "small-int8.onnx"
    quantize(folders=[plates], out=out, most_changed=1.0, most_lost=1.0, flags=flags)
    with pytest.raises(CommandFailed, match=r"small-int8 computes in int8 already; name another network in runtime\."):
        quantize(folders=[plates], out=out, flags=[f"runtime.backbone={out}", *flags[1:]])


def test_verdicts_are_compared_by_each_networks_own_threshold() -> None:
    """Scores of another scale decide nothing otherwise; what changes its side of the threshold is counted."""
    rng = np.random.default_rng(0)
    frames, plants = rng.normal(10, 1, 60).astype(np.float32), np.linspace(5, 20, 40, dtype=np.float32)
    before = TrialScores(frames, plants, tuple(range(50)), tuple(range(60)))
    scaled = verdict_changes(before, replace(before, frames=2 * frames, plants=2 * plants), 0.02)
    assert (scaled.frames, scaled.frames_changed, scaled.plants, scaled.plants_changed) == (60, 0, 40, 0)
    assert scaled.rank_correlation == pytest.approx(1)
    assert scaled.auroc_loss == 0
    assert scaled.auroc[0] == pytest.approx(np.mean(plants[:, None] > frames))
    blind = verdict_changes(before, replace(before, plants=np.zeros_like(plants)), 0.02)
    assert blind.auroc_loss == pytest.approx(scaled.auroc[0])
    (limit,) = thresholds(before.frames, [0.02])
    moved = plants.copy()
    nearest = np.argsort(np.abs(plants - limit))[:3]
    moved[nearest] = np.where(plants[nearest] > limit, 0, 30)
    otherwise = verdict_changes(before, replace(before, plants=moved), 0.02)
    assert (otherwise.plants_changed, otherwise.frames_changed) == (3, 0)
    assert otherwise.changed_ratio == pytest.approx(3 / 40)
    assert otherwise.found[0] == int((plants > limit).sum())
    assert otherwise.rank_correlation < 1
