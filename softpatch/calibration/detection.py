"""Probability of detection against size, from planted defects that were found or missed.

The hit/miss model of MIL-HDBK-1823A: the log odds of being found grow with the log of the size. `a90` is the size that
is found nine times in ten. Planted defects are artificial: the curve compares banks, and says what one cannot see.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from pydantic import BaseModel, ConfigDict, Field

_RIDGE = 0.05
"""Of the fit's slope and intercept: without it nothing bounds them where every size above some other is found."""

_STEPS = 25
_RESAMPLES = 200
_CONVERGED = 1e-8
SIZE_CLASSES = 6


@dataclass(frozen=True)
class PlantResult:
    """One planted defect: its kind and longer side in pixels of the frame, and whether its frame failed."""

    kind: str
    size_px: float
    found: bool


class SizeClass(BaseModel):
    """Planted defects of like size, from `low_px` to below `high_px`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    low_px: float
    high_px: float
    planted: int = Field(ge=0)
    found: int = Field(ge=0)


class DetectionCurve(BaseModel):
    """What a bank with its threshold finds of planted defects, by size in pixels of the frame.

    `a50_px` and `a90_px` are None where no size that was planted is found that often; the interval of the latter holds
    in nine of ten repetitions, and its high end is None where it has none below the largest size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    planted: int = Field(ge=1)
    found: int = Field(ge=0)
    intercept: float
    slope: float
    largest_px: float
    a50_px: float | None
    a90_px: float | None
    a90_low_px: float | None
    a90_high_px: float | None
    kinds: dict[str, float]
    sizes: list[SizeClass]

    def probability(self, size_px: float) -> float:
        """That a defect of this size is found."""
        return float(1 / (1 + np.exp(-(self.intercept + self.slope * np.log(size_px)))))


def detection_curve(results: Sequence[PlantResult], *, seed: int) -> DetectionCurve:
    """The curve of these planted defects. Raises ValueError where there are none."""
    if not results:
        raise ValueError("a detection curve needs planted defects")
    log_size = np.log([each.size_px for each in results])
    found = np.array([each.found for each in results])
    largest = float(np.exp(log_size.max()))
    intercept, slope = _fitted(log_size[None], found[None])
    rows = np.random.default_rng((seed, 21)).integers(0, len(found), (_RESAMPLES, len(found)))
    sizes = np.sort(_size(0.9, *_fitted(log_size[rows], found[rows])))
    low, high = sizes[round(0.05 * (_RESAMPLES - 1))], sizes[round(0.95 * (_RESAMPLES - 1))]
    return DetectionCurve(
        planted=len(found),
        found=int(found.sum()),
        intercept=float(intercept[0]),
        slope=float(slope[0]),
        largest_px=largest,
        a50_px=_reached(_size(0.5, intercept, slope)[0], largest),
        a90_px=_reached(_size(0.9, intercept, slope)[0], largest),
        a90_low_px=_reached(low, largest),
        a90_high_px=_reached(high, largest),
        kinds=_by_kind(results),
        sizes=_by_size(log_size, found),
    )


def _fitted(
    log_size: Float64[np.ndarray, "sets n"], found: Bool[np.ndarray, "sets n"]
) -> tuple[Float64[np.ndarray, "sets"], Float64[np.ndarray, "sets"]]:
    """Intercept and slope of the log odds of each set, by Newton's method on the penalised likelihood."""
    mean = log_size.mean(axis=1)
    design = np.stack([np.ones_like(log_size), log_size - mean[:, None]], axis=2)
    weights = np.zeros((len(log_size), 2, 1))
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.mT @ (found[..., None] - expected) - _RIDGE * weights
        curvature = (design * (expected * (1 - expected))).mT @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < _CONVERGED:
            break
    intercept, slope = weights[:, 0, 0], weights[:, 1, 0]
    return intercept - slope * mean, slope


def _size(
    probability: float, intercept: Float64[np.ndarray, "sets"], slope: Float64[np.ndarray, "sets"]
) -> Float64[np.ndarray, "sets"]:
    """The size found that often; infinite where it is not found more often the larger it is."""
    grows = slope > 0
    log_size = (np.log(probability / (1 - probability)) - intercept) / np.where(grows, slope, 1.0)
    return np.where(grows, np.exp(np.minimum(log_size, 700.0)), np.inf)


def _reached(size_px: float, largest_px: float) -> float | None:
    return float(size_px) if size_px <= largest_px else None


def _by_kind(results: Sequence[PlantResult]) -> dict[str, float]:
    kinds = sorted({each.kind for each in results})
    return {kind: float(np.mean([each.found for each in results if each.kind == kind])) for kind in kinds}


def _by_size(log_size: Float64[np.ndarray, "n"], found: Bool[np.ndarray, "n"]) -> list[SizeClass]:
    edges = np.linspace(log_size.min(), log_size.max() + 1e-9, SIZE_CLASSES + 1)
    number = np.clip(np.searchsorted(edges, log_size, side="right") - 1, 0, SIZE_CLASSES - 1)
    return [
        SizeClass(
            low_px=float(np.exp(edges[k])),
            high_px=float(np.exp(edges[k + 1])),
            planted=int((number == k).sum()),
            found=int(found[number == k].sum()),
        )
        for k in range(SIZE_CLASSES)
    ]
