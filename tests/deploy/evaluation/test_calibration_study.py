"""`patchline evaluate --calibration` on a small drawn category and a short simulated line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from deploy.errors import UsageError
from deploy.evaluation.calibration_study import ROWS, CalibrationRequest, EvaluatedLine, run_calibration
from deploy.evaluation.command import CalibrationOptions, Request, between, category_of, run_request
from deploy.evaluation.embedding_cache import EmbeddingCache
from deploy.evaluation.json_lines import read_lines
from deploy.evaluation.results.calibration_rows import ASKED, FOLDS, CalibrationRow, calibration_report
from deploy.evaluation.simulated_line import SimulatedLine
from ingest.cameras.simulator import Simulator
from softpatch.images.decode import decode
from softpatch.images.geometry import Geometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from softpatch.images.folders import LabelledImage


def draw(path: Path, rng: np.random.Generator, *, stained: bool) -> None:
    """A gray plate; a stain is a dark disc."""
    image = np.clip(150 + rng.normal(0, 4, (64, 64, 3)), 0, 255).astype(np.uint8)
    if stained:
        cv2.circle(image, (32, 32), 9, (20, 20, 60), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVTec layout: 20 good to train on, 10 good and 12 stained to test."""
    root = tmp_path_factory.mktemp("drawn") / "plates"
    rng = np.random.default_rng(0)
    for folder, count in (("train/good", 20), ("test/good", 10), ("test/stain", 12)):
        for number in range(count):
            draw(root / folder / f"{number:03}.png", rng, stained="stain" in folder)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingCache:
    """Lite0 on 64 px: a grid of 8 x 8."""
    geometry = Geometry(mode="squash", height_px=64, width_px=64)
    return EmbeddingCache(tmp_path_factory.mktemp("cache"), OnnxEmbedder.open(lite0()), geometry)


def request_of(plates: Path, out: Path) -> CalibrationRequest:
    """One seed at noise 0.1, at the cache's own input."""
    return CalibrationRequest((category_of(plates),), (), (0.1,), (0,), out, fast=True)


@pytest.mark.slow
def test_rows_are_kept_as_they_are_measured_and_not_measured_again(
    plates: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    """One row per asked ratio, every good frame held out once, stains found; a second run adds nothing."""
    rows = run_calibration(request_of(plates, tmp_path), cache, "lite0")
    assert [row.asked_false_reject_ratio for row in rows] == list(ASKED)
    assert {(row.folds, row.good_frames, row.recall) for row in rows} == {(FOLDS, 30, 1.0)}
    assert read_lines(tmp_path / ROWS, CalibrationRow) == rows
    assert run_calibration(request_of(plates, tmp_path), cache, "lite0") == rows


@pytest.mark.slow
def test_windows_choose_their_input_as_the_product_does(
    plates: Path, cache: EmbeddingCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fold's window its own; the rows are another network's than those at 224 px, and both stand in the report."""
    seen: list[int] = []

    def chosen(window: Sequence[LabelledImage], on: EmbeddingCache, *, seed: int) -> EmbeddingCache:
        seen.append(len(window))
        return on.at(on.geometry, "medium") if seed == 0 else on

    monkeypatch.setattr("deploy.evaluation.calibration_study.at_chosen_input", chosen)
    request = request_of(plates, tmp_path)
    run_calibration(request, cache, "lite0")
    rows = run_calibration(replace(request, fast=False), cache, "lite0")
    assert seen == [22] * FOLDS
    assert [row.backbone for row in rows] == ["lite0-224"] * len(ASKED) + ["lite0"] * len(ASKED)
    assert {row.threshold for row in rows[:3]}.isdisjoint(row.threshold for row in rows[3:])
    assert calibration_report(rows).index("Thresholds, lite0\n") < calibration_report(rows).index(
        "Thresholds, lite0-224"
    )


@pytest.mark.slow
def test_in_time_order_the_later_frames_are_tested(plates: Path, cache: EmbeddingCache, tmp_path: Path) -> None:
    """Ten good frames of the test split, once; the window is the twenty others and two stains."""
    rows = run_calibration(replace(request_of(plates, tmp_path), in_time=True), cache, "lite0")
    assert {(row.order, row.folds, row.window_frames, row.good_frames) for row in rows} == {("time", 1, 22, 10)}


@pytest.mark.slow
def test_a_simulated_line_is_a_window_and_what_follows_it(cache: EmbeddingCache, tmp_path: Path) -> None:
    """Twelve frames to learn from, twenty good ones after them."""
    short = CalibrationRequest(
        (), ("gear",), (0.1,), (3,), tmp_path, line=EvaluatedLine(window=12, good=20, defective=5, chunk_frames=8)
    )
    rows = run_calibration(short, cache, "lite0")
    assert {(row.category, row.window_frames, row.good_frames, row.seed) for row in rows} == {("gear", 12, 20, 3)}


def test_good_frames_are_thinned_out_by_whole_chunks() -> None:
    """Of 1,250 frames after a window of 100: all, or the first 250 of each 500."""
    assert sum(map(len, EvaluatedLine(window=100, good=1250).following)) == 1250
    assert EvaluatedLine(window=100, good=1250, every=2).following == [
        range(100, 350),
        range(600, 850),
        range(1100, 1350),
    ]


@pytest.mark.slow
def test_a_simulated_lines_embeddings_are_those_of_its_frames_whatever_is_asked_first(
    cache: EmbeddingCache, tmp_path: Path
) -> None:
    """Frame 9, across a chunk's edge, against simulator and embedder themselves, to half precision."""
    line = SimulatedLine("ring", 5, tmp_path, cache.embedder, cache.geometry, chunk_frames=8)
    (_, last) = (batch for batch in line.batches("good", range(7, 10)))
    camera = Simulator("ring", seed=5, clock=line.clock, defect_ratio=0)
    frame = cache.geometry.apply(decode(camera.frame(9).encoded))
    np.testing.assert_allclose(last[1], cache.embedder.embed(frame[None])[0], rtol=1e-3, atol=1e-4)


def test_a_ledger_of_something_else_is_refused(plates: Path, cache: EmbeddingCache, tmp_path: Path) -> None:
    """Another program's JSON lines."""
    (tmp_path / ROWS).write_text('{"category": "plates"}\n')
    with pytest.raises(UsageError, match="holds other rows"):
        run_calibration(request_of(plates, tmp_path), cache, "lite0")


def test_the_section_is_written_between_its_own_marks(tmp_path: Path) -> None:
    """What stands around them, another section's marks included, stays."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n<!-- a -->\nold\n<!-- b -->\nend\n")
    assert between(page, "new", ("<!-- a -->", "<!-- b -->")) == "# Page\n<!-- a -->\n\nnew\n<!-- b -->\nend\n"
    with pytest.raises(UsageError, match="has no lines <!-- c --> and <!-- d -->"):
        between(page, "new", ("<!-- c -->", "<!-- d -->"))


@pytest.mark.parametrize(
    ("methods", "simulated", "message"),
    [(("padim",), ("gear",), "leave out --method"), ((), ("cog",), "unknown"), ((), (), "needs a folder")],
)
def test_what_cannot_be_calibrated_is_refused(
    methods: tuple[str, ...], simulated: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """Methods, unknown parts, nothing at all."""
    request = Request(
        folders=(),
        out=tmp_path,
        methods=methods,
        settings=(),
        noises=(),
        seeds=(),
        backbones=("lite0",),
        cache=tmp_path,
        json_file=None,
        report=None,
        export=None,
        calibration=CalibrationOptions(simulated),
    )
    with pytest.raises(UsageError, match=message):
        run_request(request)
