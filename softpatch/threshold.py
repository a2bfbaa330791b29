"""From contaminated calibration scores to a threshold: how far good frames reach, whatever defects lie among them."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from jaxtyping import Float32, Float64

from softpatch.bank import Threshold

SHAPE = 0.1
"""Of the tail, fixed: fitted to the body of one window it wanders, and what it says of the tail is not heard there."""

LOW, HIGH = 0.10, 0.70
"""The quantiles of the good frames' log scores that are fitted: the top, where defects are, is not looked at."""

MOST_NOISE = 0.4
"""Estimates stop here: beyond it nobody can say from scores alone which part of the window is the good one."""

RULE = (
    "extreme value distribution (shape 0.1) of log cross-fitted scores through the 10 and 70 % quantiles of the good "
    "frames, their share estimated from the frames beyond its 95 % quantile; interval 5 to 95 % by block bootstrap"
)

_SPARE_RATIO = 0.05
_ROUNDS = 8
_RESAMPLES = 200
_BLOCK_FRAMES = 10
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Suggestion:
    """A threshold for the asked false-reject ratio, and the estimated share of defective frames in the window."""

    threshold: Threshold
    noise_estimate: float


@dataclass(frozen=True)
class Fit:
    """The law of the good frames' log scores (a maximum over many patches) and the share of the others."""

    location: float
    scale: float
    noise: float

    def quantile(self, probability: float) -> float:
        """The log score that this share of good frames stays below."""
        return self.location + self.scale * _standard_quantile(probability)


def suggest(scores: Float32[np.ndarray, "frames"], *, false_reject_ratio: float, seed: int) -> Suggestion:
    """The threshold that rejects this share of good frames, by `RULE`.

    A plain quantile would lie among the defects, one of trimmed scores too low.
    """
    logs = np.log(np.maximum(scores.astype(np.float64), _TINY))
    fitted, asked = fit(logs), 1 - false_reject_ratio
    rng = np.random.default_rng(seed)
    resampled = [fit(_block_resample(logs, rng)).quantile(asked) for _ in range(_RESAMPLES)]
    value = fitted.quantile(asked)
    low, high = np.quantile(resampled, [0.05, 0.95]).tolist()
    threshold = Threshold(
        value=_score(value),
        interval_low=_score(min(low, value)),
        interval_high=_score(max(high, value)),
        false_reject_ratio=false_reject_ratio,
        rule=RULE,
    )
    return Suggestion(threshold, fitted.noise)


def frames_needed(threshold: Threshold, *, frames: int, interval_ratio_limit: float) -> int:
    """How many more frames until the threshold's interval, high over low, is this narrow; 0 where it is.

    `frames` is how many the calibration had. The log of the width shrinks with their square root, so that this is an
    estimate: it holds while the line stays as it is.
    """
    if interval_ratio_limit <= 1:
        raise ValueError(f"interval_ratio_limit {interval_ratio_limit} must be above 1: no interval is narrower")
    width = threshold.interval_high / threshold.interval_low
    if width <= interval_ratio_limit:
        return 0
    return max(1, ceil(frames * ((log(width) / log(interval_ratio_limit)) ** 2 - 1)))


def why_uncertain(threshold: Threshold, *, frames: int, interval_ratio_limit: float) -> str | None:
    """What keeps a threshold from being acted on, in one sentence with the frames it still needs; None where nothing."""
    more = frames_needed(threshold, frames=frames, interval_ratio_limit=interval_ratio_limit)
    if not more:
        return None
    width = threshold.interval_high / threshold.interval_low
    return (
        f"the threshold for {threshold.false_reject_ratio:.2g} false rejects lies anywhere in a range of "
        f"{width:.2f} to 1, {interval_ratio_limit:.2f} to 1 is asked: about {more} more frames are needed"
    )


def fit(logs: Float64[np.ndarray, "frames"]) -> Fit:
    """Law and noise in turns.

    The q quantile of the good frames is the q x (1 - noise) quantile of all; what lies beyond the law's 95 % quantile
    in excess of 5 % is noise. Equal scores give a point without noise.
    """
    ordered, noise = np.sort(logs), 0.0
    for _ in range(_ROUNDS):
        fitted = _fit_given(ordered, noise)
        limit = fitted.quantile(1 - _SPARE_RATIO) + 1e-9 * abs(fitted.location)  # rounding must not split equal scores
        beyond = 1 - np.searchsorted(ordered, limit, side="right") / len(ordered)
        noise = min(MOST_NOISE, max(0.0, (beyond - _SPARE_RATIO) / (1 - _SPARE_RATIO)))
    return _fit_given(ordered, noise)


def _fit_given(ordered: Float64[np.ndarray, "frames"], noise: float) -> Fit:
    places = (len(ordered) - 1) * (1 - noise) * np.array([LOW, HIGH])
    low, high = np.interp(places, np.arange(len(ordered)), ordered).tolist()
    scale = (high - low) / (_standard_quantile(HIGH) - _standard_quantile(LOW))
    return Fit(low - scale * _standard_quantile(LOW), scale, noise)


def _standard_quantile(probability: float) -> float:
    """Of the generalised extreme value distribution with location 0, scale 1 and our shape."""
    return float(np.expm1(-SHAPE * np.log(-np.log(probability))) / SHAPE)


def _block_resample(logs: Float64[np.ndarray, "frames"], rng: np.random.Generator) -> Float64[np.ndarray, "frames"]:
    """As many frames, in runs of up to ten: neighbours in time are alike, and single draws would feign certainty."""
    block = min(_BLOCK_FRAMES, len(logs))
    starts = rng.integers(0, len(logs) - block + 1, size=-(-len(logs) // block))
    return np.asarray(logs[(starts[:, None] + np.arange(block)).ravel()[: len(logs)]])


def _score(log: float) -> float:
    return max(float(np.exp(log)), _TINY)
