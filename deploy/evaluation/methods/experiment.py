"""One method on one window, tested in every setting that shares the window."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from deploy.evaluation.methods.methods import Method
from deploy.evaluation.methods.training_window import TrainingWindow
from deploy.evaluation.results.metrics import PixelMetrics, auroc, pixel_metrics
from deploy.evaluation.results.rows import Question
from softpatch.scoring.score import anomaly_map

Clock = Callable[[], float]


@dataclass(frozen=True)
class TestFrames:
    """What is tested, batch by batch: embeddings, and per frame its truth; `masks` are None without ground truth."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    batches: Callable[[], Iterable[Float32[np.ndarray, "n p q d"]]]
    defective: Bool[np.ndarray, "frames"]
    masks: Sequence[Bool[np.ndarray, "h w"] | None] | None
    map_size_hw: tuple[int, int]


@dataclass(frozen=True)
class MethodResult:
    """What one method did in one setting. `scores` are of all test frames, the setting's or not."""

    image_auroc: float
    pixel: PixelMetrics | None
    build_seconds: float
    score_seconds: float
    scores: Float32[np.ndarray, "frames"]
    questions: tuple[Question, ...]


def run(
    method: Method,
    window: TrainingWindow,
    test: TestFrames,
    settings: Mapping[str, Bool[np.ndarray, "frames"]],
    *,
    seed: int,
    clock: Clock,
) -> dict[str, MethodResult]:
    """Build once, score every test frame once, and measure each setting on the frames it tests.

    Seconds are of building from embeddings and of scoring them, maps included; embedding is the same for every method.
    """
    started = clock()
    learnt = method(window, seed)
    built = clock()
    frames = [frame for batch in test.batches() for frame in learnt.scorer.score(batch)]
    height, width = test.map_size_hw
    maps = [anomaly_map(frame.patch_scores, height_px=height, width_px=width) for frame in frames]
    scored = clock()
    scores = np.array([frame.score for frame in frames], np.float32)
    return {
        setting: MethodResult(
            image_auroc=auroc(scores[tested], test.defective[tested]),
            pixel=_pixel(maps, test, tested),
            build_seconds=built - started,
            score_seconds=scored - built,
            scores=scores,
            questions=learnt.questions,
        )
        for setting, tested in settings.items()
    }


def _pixel(
    maps: Sequence[Float32[np.ndarray, "h w"]], test: TestFrames, tested: Bool[np.ndarray, "frames"]
) -> PixelMetrics | None:
    if test.masks is None:
        return None
    which = np.flatnonzero(tested).tolist()
    return pixel_metrics([maps[i] for i in which], [test.masks[i] for i in which])
