"""`patchline evaluate` on a small drawn category: rows, resuming, export, and what is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.errors import UsageError
from deploy.evaluation.command import Request, between_marks, run_request
from deploy.evaluation.embedding_cache import EmbeddingCache
from deploy.evaluation.ledger import Ledger
from deploy.evaluation.plot import curves_of
from deploy.evaluation.results.report import report
from deploy.evaluation.results.rows import Question, Row
from deploy.evaluation.study import Category, StudyPlan, run_task, tasks
from softpatch.images.folders import read_folder
from softpatch.images.geometry import Geometry
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0


def draw(path: Path, rng: np.random.Generator, *, stain: bool) -> None:
    """A gray plate with a ring; a stain is a dark disc at a random place, with its mask beside."""
    image = np.full((64, 64, 3), 150, np.uint8)
    cv2.circle(image, (32, 32), 20, (210, 210, 210), 3)
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if stain:
        centre = tuple(int(c) for c in rng.integers(12, 52, 2))
        cv2.circle(image, centre, 7, (20, 20, 60), -1)
        mask = cv2.circle(np.zeros((64, 64), np.uint8), centre, 7, 255, -1)
        mask_path = path.parents[2] / "ground_truth" / path.parent.name / path.name
        mask_path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(mask_path), mask)
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MVTec layout: 20 good to train on, 8 good and 12 stained to test."""
    root = tmp_path_factory.mktemp("drawn") / "plates"
    rng = np.random.default_rng(0)
    for number in range(20):
        draw(root / "train" / "good" / f"{number:03}.png", rng, stain=False)
    for number in range(8):
        draw(root / "test" / "good" / f"{number:03}.png", rng, stain=False)
    for number in range(12):
        draw(root / "test" / "stain" / f"{number:03}.png", rng, stain=True)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingCache:
    """Lite0 on 64 px: a grid of 8 x 8."""
    geometry = Geometry(mode="squash", height_px=64, width_px=64)
    return EmbeddingCache(tmp_path_factory.mktemp("cache"), OnnxEmbedder.open(lite0()), geometry)


def category(root: Path) -> Category:
    """The folder as a category."""
    return Category("drawn", "plates", read_folder(root).images)


def study(root: Path, cache: EmbeddingCache, ledger: Ledger, plan: StudyPlan) -> list[str]:
    """Run what is left; returns the methods that were run."""
    began: list[str] = []
    for task in tasks([category(root)], "lite0", plan, ledger.done()):
        clock = map(float, itertools.count()).__next__
        run_task(task, cache, ledger, clock=clock, begin=began.append, finish=lambda: None)
    return began


@pytest.fixture
def _at_the_caches_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that a window would choose for itself has fifty times the pixels."""
    monkeypatch.setattr("deploy.evaluation.study.at_chosen_input", lambda _window, smaller, **_: smaller)


@pytest.mark.slow
@pytest.mark.usefixtures("_at_the_caches_input")
def test_a_study_finds_stains_in_every_setting_and_resumes_where_it_stopped(
    plates: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    """Plain stains are found; two settings share a build; what is in the ledger is not run again."""
    ledger = Ledger(tmp_path)
    plan = StudyPlan(("patchcore", "padim"), ("overlap", "no-overlap", "rotation"), (0.0, 0.1), (0,))
    began = study(plates, cache, ledger, plan)
    rows = ledger.rows()
    assert sorted(began) == ["padim"] * 4 + ["patchcore"] * 4
    assert len(rows) == len({row.key for row in rows}) == 12
    assert all(row.image_auroc > 0.95 for row in rows if row.noise == 0)
    assert all(row.pixel_auroc is not None and 0.8 < row.pixel_auroc <= 1 for row in rows if row.noise == 0)
    assert study(plates, cache, ledger, plan) == []
    assert study(plates, cache, ledger, replace(plan, seeds=(0, 1), noises=(0.0,))) == ["patchcore", "padim"] * 2


@pytest.mark.slow
@pytest.mark.usefixtures("_at_the_caches_input")
def test_scores_behind_a_row_cover_all_test_frames_and_say_which_count(
    plates: Path, cache: EmbeddingCache, tmp_path: Path
) -> None:
    """Without overlap the two injected frames are scored but not tested."""
    ledger = Ledger(tmp_path)
    study(plates, cache, ledger, StudyPlan(("patchcore",), ("overlap", "no-overlap"), (0.1,), (0,)))
    lines = {key[4]: line for key, line in ledger.scores().items()}
    assert [len(line.scores) for line in lines.values()] == [20, 20]
    assert len(lines["overlap"].tested) == 20
    assert len(lines["no-overlap"].tested) == 18  # 6 stains allow 15 good frames, 0.1 of which is 2
    assert lines["overlap"].scores == lines["no-overlap"].scores


@pytest.mark.slow
@pytest.mark.usefixtures("_at_the_caches_input")
def test_a_category_without_masks_has_no_pixel_metrics(plates: Path, cache: EmbeddingCache, tmp_path: Path) -> None:
    """They are null, not zero."""
    bare = category(plates)
    bare = replace(bare, images=tuple(replace(image, mask=None) for image in bare.images))
    ledger = Ledger(tmp_path)
    (task,) = tasks([bare], "lite0", StudyPlan(("patchcore",), ("overlap",), (0.0,), (0,)), set())
    run_task(task, cache, ledger, clock=map(float, itertools.count()).__next__, begin=print, finish=lambda: None)
    (row,) = ledger.rows()
    assert (row.pixel_auroc, row.pro, row.average_precision) == (None, None, None)


def test_augmented_frames_have_embeddings_of_their_own(plates: Path, cache: EmbeddingCache) -> None:
    """Another setting or seed is another cache entry; the same one is read back as it was."""
    image = [category(plates).images[0]]
    plain, again, noisy, other = (
        next(cache.batches(image, setting, seed=seed))
        for setting, seed in [("overlap", 0), ("no-overlap", 3), ("gaussian-noise", 0), ("gaussian-noise", 1)]
    )
    np.testing.assert_array_equal(plain, again)
    assert not np.array_equal(plain, noisy)
    assert not np.array_equal(noisy, other)


def request_for(plates: Path, folder: Path, **changes: object) -> Request:
    """`patchline evaluate plates --method patchcore --setting overlap --noise 0.1`."""
    plain = Request(
        folders=(plates,),
        out=folder / "out",
        methods=("patchcore",),
        settings=("overlap",),
        noises=(0.1,),
        seeds=(0,),
        backbones=("lite0",),
        cache=folder / "cache",
        json_file=folder / "rows.json",
        report=folder / "quality.md",
        export=None,
    )
    return replace(plain, **changes)


def measured(backbone: str, method: str, noise: float) -> Row:
    """A row whose figures do not matter."""
    return Row(
        dataset="drawn",
        category="plates",
        backbone=backbone,
        method=method,
        setting="overlap",
        noise=noise,
        seed=0,
        input="448x448 wide",
        image_auroc=0.9,
        pixel_auroc=None,
        pro=None,
        average_precision=None,
        build_seconds=1.0,
        score_seconds=1.0,
    )


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ([None, ()], ""),
        ([(), ()], "0"),
        ([(Question(frames=9, defective=2, answer=None),), ()], "1"),
        (
            [(Question(frames=9, defective=2, answer="good"), Question(frames=2, defective=0, answer=None)), ()],
            "2, 1 answered",
        ),
    ],
)
def test_a_report_says_how_many_questions_its_windows_raise(
    asked: list[tuple[Question, ...] | None], shown: str
) -> None:
    """A figure that somebody's answer made must not look like one that nobody helped; old rows do not say."""
    rows = [measured("lite0", "patchline", 0.1).model_copy(update={"questions": each}) for each in asked]
    first, _, line, *_ = next(
        part for part in report(rows, {}, {}).split("\n\n") if part.startswith("| noise")
    ).splitlines()
    assert first.endswith("| rows | questions |")
    assert line.endswith(f"| 2 | {shown} |")


def test_a_curve_is_one_backbones_and_has_several_points() -> None:
    """Means over two backbones were drawn as one curve, and single points in the colours of the curves."""
    curve = [measured("lite0", "patchline", noise) for noise in (0.0, 0.1)]
    point, other = measured("lite0", "padim", 0.1), measured("resnet18", "patchline", 0.1)
    assert curves_of([*curve, point, other]) == curve
    assert curves_of([point, other]) == [point]


@pytest.mark.slow
def test_the_command_writes_rows_report_and_plot(plates: Path, tmp_path: Path) -> None:
    """Everything a reader or a script asks for, from one call."""
    (tmp_path / "quality.md").write_text("Ours.\n<!-- evaluate: begin -->\nold\n<!-- evaluate: end -->\nThe end.\n")
    run_request(request_for(plates, tmp_path))
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert Row(**row).key == (plates.parent.name, "plates", "lite0", "patchcore", "overlap", 0.1, 0)
    text = (tmp_path / "quality.md").read_text()
    assert text.startswith("Ours.\n<!-- evaluate: begin -->\n")
    assert "| 0.1 | overlap | patchcore |" in text
    assert "old" not in text
    assert text.endswith("<!-- evaluate: end -->\nThe end.\n")
    assert (tmp_path / "out" / "auroc-against-noise.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
def test_embeddings_can_be_taken_elsewhere(plates: Path, tmp_path: Path) -> None:
    """Others try their own method on the very window."""
    run_request(request_for(plates, tmp_path, export="embeddings"))
    (file,) = (tmp_path / "out").glob("*.npz")
    with np.load(file) as arrays:
        assert arrays["window"].shape[1:] == (28, 28, 152)
        assert len(arrays["window"]) == len(arrays["injected"])
        assert arrays["defective"].sum() == 12


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"methods": ("patchcor",)}, "--method patchcor is unknown; choose from patchline"),
        ({"settings": ("overlapping",)}, "--setting overlapping is unknown; choose from overlap, no-overlap"),
        ({"noises": (0.7,)}, "--noise 0.7 is outside 0 to 0.4"),
        ({"export": "banks"}, "--export banks: only embeddings can be exported"),
        ({"backbones": ("nowhere.onnx",)}, "--backbone nowhere.onnx: "),
        ({"folders": (Path("nowhere"),)}, "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    plates: Path, tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    """Wrong use ends before any work."""
    with pytest.raises(UsageError) as refused:
        run_request(request_for(plates, tmp_path, **changes))
    assert str(refused.value).startswith(complaint)


def test_a_folder_without_defects_cannot_be_evaluated(plates: Path, tmp_path: Path) -> None:
    """A flat folder has nothing to inject."""
    with pytest.raises(UsageError, match="evaluation needs MVTec or BTAD layout"):
        run_request(request_for(plates, tmp_path, folders=(plates / "train" / "good",)))


def test_a_report_without_marks_is_not_overwritten(tmp_path: Path) -> None:
    """Somebody's prose is never lost."""
    path = tmp_path / "quality.md"
    path.write_text("prose")
    with pytest.raises(UsageError, match="has no lines <!-- evaluate: begin -->"):
        between_marks(path, "tables")
    assert between_marks(tmp_path / "new.md", "tables") == (
        "<!-- evaluate: begin -->\n\ntables\n<!-- evaluate: end -->\n"
    )


def test_a_ledger_of_other_rows_is_refused(tmp_path: Path) -> None:
    """Another program's JSON lines."""
    (tmp_path / "rows.jsonl").write_text('{"method": "x"}\n')
    with pytest.raises(UsageError, match="holds other rows"):
        Ledger(tmp_path).rows()
