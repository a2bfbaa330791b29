"""A study: every planned combination of category, backbone, noise, seed, method and setting, if not yet measured."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from deploy.evaluation.methods.experiment import TestFrames, run
from deploy.evaluation.methods.methods import FIXED_INPUT, METHODS
from deploy.evaluation.protocol.split import AUGMENTED, split
from deploy.evaluation.results.rows import FrameScores, Row
from deploy.evaluation.windows import at_chosen_input, training_window
from softpatch.images.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from deploy.evaluation.embedding_cache import EmbeddingCache
    from deploy.evaluation.ledger import Ledger
    from deploy.evaluation.methods.experiment import MethodResult
    from deploy.evaluation.protocol.split import Setting
    from deploy.evaluation.results.rows import RowKey
    from softpatch.images.folders import LabelledImage

MASK_LIMIT = 127


@dataclass(frozen=True)
class Category:
    """One folder of inspection images under the names its rows carry."""

    dataset: str
    name: str
    images: tuple[LabelledImage, ...]


@dataclass(frozen=True)
class StudyPlan:
    """What a study is to measure."""

    methods: tuple[str, ...]
    settings: tuple[Setting, ...]
    noises: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """One window, the methods to try on it, and the settings that share it."""

    category: Category
    backbone: str
    noise: float
    seed: int
    settings: tuple[Setting, ...]
    methods: tuple[str, ...]

    def key(self, method: str, setting: Setting) -> RowKey:
        """The row this combination becomes."""
        return (self.category.dataset, self.category.name, self.backbone, method, setting, self.noise, self.seed)


def tasks(categories: Sequence[Category], backbone: str, plan: StudyPlan, done: set[RowKey]) -> list[Task]:
    """What is left to do. Settings that train on the same frames share a window, and so one build per method."""
    plain = tuple(setting for setting in plan.settings if setting not in AUGMENTED)
    groups = ([plain] if plain else []) + [(setting,) for setting in plan.settings if setting in AUGMENTED]
    missing = []
    for category, noise, seed, settings in product(categories, plan.noises, plan.seeds, groups):
        whole = Task(category, backbone, noise, seed, settings, plan.methods)
        left = tuple(m for m in plan.methods if any(whole.key(m, s) not in done for s in settings))
        if left:
            missing.append(Task(category, backbone, noise, seed, settings, left))
    return missing


def run_task(
    task: Task,
    cache: EmbeddingCache,
    ledger: Ledger,
    *,
    clock: Callable[[], float],
    begin: Callable[[str], None],
    finish: Callable[[], None],
) -> None:
    """Run every method of the task; each finished method is in the ledger before the next begins."""
    drawn = {s: split(task.category.images, noise=task.noise, setting=s, seed=task.seed) for s in task.settings}
    first = drawn[task.settings[0]]
    test_images = tuple(image for image in task.category.images if image.split == "test")
    tested: dict[str, np.ndarray] = {
        setting: np.isin(np.arange(len(test_images)), [test_images.index(image) for image in each.test])
        for setting, each in drawn.items()
    }
    for on_input, methods in _by_input(task, first.window, cache):
        window = training_window(first.window, set(first.injected), on_input, task.settings[0], seed=task.seed)
        test = test_frames(test_images, on_input)
        for method in methods:
            begin(method)
            outcomes = run(METHODS[method], window, test, tested, seed=task.seed, clock=clock)
            ledger.append(*_lines(task, method, outcomes, tested, on_input))
            finish()


def _by_input(
    task: Task, window: Sequence[LabelledImage], cache: EmbeddingCache
) -> Iterator[tuple[EmbeddingCache, tuple[str, ...]]]:
    """The methods that look at frames as the window itself chooses, as the product does, and those at a fixed input."""
    fixed = tuple(method for method in task.methods if method in FIXED_INPUT)
    choosing = tuple(method for method in task.methods if method not in FIXED_INPUT)
    if choosing:
        yield at_chosen_input(window, cache, seed=task.seed), choosing
    if fixed:
        yield cache, fixed


def test_frames(images: tuple[LabelledImage, ...], cache: EmbeddingCache) -> TestFrames:
    """The test frames with their truth at the network's input size; masks where every defective frame has one."""
    masked = all(image.mask is not None for image in images if image.label != "good")
    return TestFrames(
        batches=lambda: cache.batches(images),
        defective=np.array([image.label != "good" for image in images]),
        masks=[_mask(image, cache) for image in images] if masked else None,
        map_size_hw=(cache.geometry.height_px, cache.geometry.width_px),
    )


def _mask(image: LabelledImage, cache: EmbeddingCache) -> np.ndarray | None:
    if image.label == "good" or image.mask is None:
        return None
    white = (decode(image.mask.read_bytes()) > 0).astype(np.uint8) * np.uint8(255)
    shaped: np.ndarray = cache.geometry.apply(white)[..., 0] > MASK_LIMIT
    return shaped


def _lines(
    task: Task, method: str, outcomes: dict[str, MethodResult], tested: Mapping[str, np.ndarray], cache: EmbeddingCache
) -> tuple[list[Row], list[FrameScores]]:
    rows, scores = [], []
    for setting, mask in tested.items():
        outcome = outcomes[setting]
        row = Row(
            dataset=task.category.dataset,
            category=task.category.name,
            backbone=task.backbone,
            method=method,
            setting=setting,
            noise=task.noise,
            seed=task.seed,
            input=f"{cache.geometry.width_px}x{cache.geometry.height_px} {cache.embedder.features}",
            image_auroc=round(outcome.image_auroc, 6),
            pixel_auroc=round(outcome.pixel.auroc, 6) if outcome.pixel else None,
            pro=round(outcome.pixel.pro, 6) if outcome.pixel else None,
            average_precision=round(outcome.pixel.average_precision, 6) if outcome.pixel else None,
            build_seconds=round(outcome.build_seconds, 3),
            score_seconds=round(outcome.score_seconds, 3),
            questions=outcome.questions,
        )
        rows.append(row)
        kept = tuple(float(f"{score:.5g}") for score in outcome.scores)
        scores.append(FrameScores(key=row.key, scores=kept, tested=tuple(np.flatnonzero(mask).tolist())))
    return rows, scores
