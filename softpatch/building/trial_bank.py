"""A small bank of a sample, to compare inputs and networks by: what it scores held-out frames and planted defects."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.building.calibration_blocks import contiguous_blocks
from softpatch.building.cross_fit import cross_fit
from softpatch.building.fit import fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.ignored_cells import ignored_cells
from softpatch.building.label_window import KnownLabels
from softpatch.building.planting import planted_scores
from softpatch.building.progress import silent
from softpatch.building.window import read_window
from softpatch.calibration.extreme_value import posterior
from softpatch.images.geometry import FrameGeometry
from softpatch.network.embed import Embedder
from softpatch.settings import FEWEST_BLOCKS, BuildSettings

TRIAL_PLANTS = 320
TRIAL_CORESET = 2000
PASSING_RATIO = 0.9
"""Of a trial's frames, those that score least: defects are planted into them."""


@dataclass(frozen=True, eq=False)
class TrialScores:
    """Of the usable frames, by the bank without their block of time, and of defects planted into those that pass."""

    frames: Float32[np.ndarray, "frames"]
    plants: Float32[np.ndarray, "plants"]
    passing: tuple[int, ...]
    sources: tuple[int, ...]
    """Places of the usable frames among those given."""


def thresholds(frames: Float32[np.ndarray, "frames"], false_reject_ratios: Sequence[float]) -> list[float]:
    """The scores that these shares of good frames exceed, found as a bank's own threshold is, of a trial's frames."""
    fitted = posterior(frames)
    return [float(fitted.binned.score(fitted.limit(ratio))) for ratio in false_reject_ratios]


def trial_scores(
    sample: Sequence[bytes],
    embedder: Embedder,
    geometry: FrameGeometry,
    settings: BuildSettings,
    *,
    passing: Sequence[int] | None = None,
    max_pixels: int,
    make_search: SearchMaker,
    pool: Executor,
) -> TrialScores:
    """Learn these frames and plant TRIAL_PLANTS defects: the same ones for the same frames, `passing` and seed.

    `passing` are the places, among the usable frames, of those to plant into; by default the frames that score least.

    Raises:
        TooFewFrames: fewer usable frames than `settings.fewest_frames`.
    """
    quick = settings.model_copy(update={"groups": "learn", "coreset_cap": min(settings.coreset_cap, TRIAL_CORESET)})
    window = read_window(
        sample, embedder, geometry, fewest=settings.fewest_frames, max_pixels=max_pixels, pool=pool, progress=silent
    )
    known = KnownLabels(window.frames.window_frames, ignored=ignored_cells(geometry, window))
    fitted = fit(
        window.embeddings,
        quick,
        pool,
        known=known,
        blocks=contiguous_blocks(window.frames.window_frames, FEWEST_BLOCKS),
    )
    scores = cross_fit(window.embeddings, fitted, make_search=make_search).max(axis=(1, 2))
    if passing is None:
        passing = np.flatnonzero(scores <= np.quantile(scores, PASSING_RATIO)).tolist()
    planted = planted_scores(
        sample,
        window,
        fitted,
        embedder,
        geometry,
        passing=passing,
        plants=TRIAL_PLANTS,
        make_search=make_search,
        pool=pool,
    )
    return TrialScores(scores, planted.scores, tuple(passing), window.frames.sources)
