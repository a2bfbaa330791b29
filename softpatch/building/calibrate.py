"""Step 4: what the fitted bank scores and finds of frames it has not learnt, and the threshold that follows."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.building.cross_fit import cross_fit
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.planting import planted_scores
from softpatch.building.position_weights import CrossFitScores, weigh_positions
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.window import Window
from softpatch.calibration.detection import DetectionCurve, PlantResult, detection_curve
from softpatch.calibration.threshold import Suggestion, suggest
from softpatch.images.geometry import FrameGeometry
from softpatch.network.embed import Embedder


@dataclass(frozen=True)
class Calibration:
    """Cross-fitted scores of the window's frames, the threshold they suggest, and what it finds of planted defects.

    `position_weights` are those of the bank, by which the scores are, too.
    """

    scores: CrossFitScores
    suggestion: Suggestion
    detection: DetectionCurve | None
    position_weights: Float32[np.ndarray, "p q"] | None = None


def calibrate(
    frames: Sequence[bytes],
    window: Window,
    fitted: Fit,
    embedder: Embedder,
    geometry: FrameGeometry,
    *,
    make_search: SearchMaker,
    pool: Executor,
    progress: BuildProgress = silent,
) -> Calibration:
    """Cross-fit, weigh positions, suggest a threshold, plant defects; `frames` are all encoded frames of the window.

    Defects are planted into frames that are learnt and pass, so that what fails fails for the defect. There is no curve
    where none passes, or where the settings ask for none.
    """
    settings = fitted.settings
    patch_scores = cross_fit(window.embeddings, fitted, make_search=make_search, progress=progress)
    fitted, scores = weigh_positions(fitted, patch_scores)
    learnt = ~fitted.labels.not_learnt
    counted = scores.counted(fitted.labels.not_learnt)
    suggestion = suggest(counted, false_reject_ratio=settings.false_reject_ratio, seed=settings.seed)
    threshold = suggestion.threshold.value
    planted = planted_scores(
        frames,
        window,
        fitted,
        embedder,
        geometry,
        passing=np.flatnonzero(learnt & (scores.whole <= threshold)).tolist(),
        plants=settings.detection_plants,
        make_search=make_search,
        pool=pool,
        progress=progress,
    )
    results = [
        PlantResult(defect.kind, defect.size_px, score > threshold)
        for defect, score in zip(planted.defects, planted.scores.tolist(), strict=True)
    ]
    detection = detection_curve(results, seed=settings.seed) if results else None
    return Calibration(scores, suggestion, detection, fitted.bank.position_weights)
