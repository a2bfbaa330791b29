"""From contaminated calibration scores to a threshold that rejects the asked share of good frames."""

from dataclasses import dataclass
from math import ceil, exp, log

import numpy as np
from jaxtyping import Float32

from softpatch.bank import Bank
from softpatch.calibration.extreme_value import MOST_FRAMES, ScorePosterior, bagged_interval, posterior
from softpatch.manifest import Threshold

RULE = (
    "posterior median over extreme value distributions with uniform noise, fitted above the median of log cross-fitted "
    f"scores, which weigh as {MOST_FRAMES} frames at most; interval 5 to 95 % of the same, bagged over resamples in "
    "runs of ten frames"
)

LEAST_RATIO, MOST_RATIO = 1e-6, 0.499
"""Of the ratios that `ratio_of` gives: a threshold far above every score means no smaller one."""

_HALVINGS = 40
_RATIOS = np.geomspace(0.0005, 0.4, 60)


@dataclass(frozen=True)
class Suggestion:
    """A threshold for the asked false-reject ratio, and the estimated share of defective frames in the window."""

    threshold: Threshold
    noise_estimate: float


def suggest(scores: Float32[np.ndarray, "frames"], *, false_reject_ratio: float, seed: int) -> Suggestion:
    """The threshold that rejects this share of good frames, by `RULE`.

    A plain quantile would lie among the defects, one of trimmed scores too low.
    """
    fitted = posterior(scores)
    value = fitted.limit(false_reject_ratio)
    interval = bagged_interval(fitted.binned, seed=seed)
    low, high = interval.of_limit(false_reject_ratio)
    rejects_low, rejects_high = interval.of_false_rejects(value)
    threshold = Threshold(
        value=fitted.binned.score(value),
        interval_low=fitted.binned.score(min(low, value)),
        interval_high=fitted.binned.score(max(high, value)),
        false_reject_ratio=false_reject_ratio,
        false_reject_low=min(rejects_low, false_reject_ratio),
        false_reject_high=max(rejects_high, false_reject_ratio),
        rule=RULE,
    )
    return Suggestion(threshold, fitted.noise_share)


@dataclass(frozen=True)
class CheapestRatio:
    """The false-reject ratio at which a frame costs least in the mean, and what it costs, in the unit of the costs."""

    false_reject_ratio: float
    cost_per_frame: float


def cheapest_ratio(scores: Float32[np.ndarray, "frames"], *, cost_reject: float, cost_escape: float) -> CheapestRatio:
    """The ratio to ask for, where a good frame that fails and a defective one that passes cost so much.

    By the same posterior as `suggest`, for as many defects of the same kinds as in the window: what no distribution of
    good frames explains, evenly spread above their median. Defects that score like good frames are in no estimate.

    Raises:
        ValueError: a cost is not above 0.
    """
    if not (cost_reject > 0 and cost_escape > 0):
        raise ValueError(f"costs {cost_reject:g} and {cost_escape:g} must be above 0")
    fitted = posterior(scores)
    costs = [
        CheapestRatio(ratio, fitted.cost(ratio, reject=cost_reject, escape=cost_escape)) for ratio in _RATIOS.tolist()
    ]
    return min(costs, key=lambda each: each.cost_per_frame)


def threshold_for(bank: Bank, false_reject_ratio: float) -> Threshold:
    """A bank's threshold for this ratio with its interval: the bank's own where it was built for that ratio."""
    own = bank.manifest.threshold
    if own.false_reject_ratio == false_reject_ratio:
        return own
    seed = bank.manifest.settings.seed
    return suggest(bank.threshold_scores, false_reject_ratio=false_reject_ratio, seed=seed).threshold


def threshold_of(bank: Bank, false_reject_ratio: float) -> float:
    """The value of `threshold_for`, which takes a small part of its time."""
    own = bank.manifest.threshold
    if own.false_reject_ratio == false_reject_ratio:
        return own.value
    return _limit_score(posterior(bank.threshold_scores), false_reject_ratio)


def ratio_of(bank: Bank, threshold: float) -> float:
    """The false-reject ratio for which a bank gives this threshold: the inverse of `threshold_of`.

    It is at least `LEAST_RATIO` and at most `MOST_RATIO`, however far from the calibration the threshold lies.
    """
    own = bank.manifest.threshold
    if own.value == threshold:
        return own.false_reject_ratio
    fitted = posterior(bank.threshold_scores)
    low, high = log(LEAST_RATIO), log(MOST_RATIO)
    for _ in range(_HALVINGS):  # thresholds fall as ratios rise
        middle = (low + high) / 2
        if _limit_score(fitted, exp(middle)) > threshold:
            low = middle
        else:
            high = middle
    return exp((low + high) / 2)


def _limit_score(fitted: ScorePosterior, false_reject_ratio: float) -> float:
    return fitted.binned.score(fitted.limit(false_reject_ratio))


def frames_needed(threshold: Threshold, *, frames: int, interval_ratio_limit: float) -> int:
    """How many more frames until the threshold's interval, high over low, is this narrow; 0 where it is.

    `frames` is how many the calibration had. The log of the width shrinks with their square root, so that this is an
    estimate: it holds while the line stays as it is. Above 400 frames it is the least: longer windows hardly weigh more
    (softpatch/calibration/extreme_value.py).
    """
    if interval_ratio_limit <= 1:
        raise ValueError(f"interval_ratio_limit {interval_ratio_limit} must be above 1: no interval is narrower")
    width = threshold.interval_high / threshold.interval_low
    if width <= interval_ratio_limit:
        return 0
    return max(1, ceil(frames * ((log(width) / log(interval_ratio_limit)) ** 2 - 1)))


def why_uncertain(threshold: Threshold, *, frames: int, interval_ratio_limit: float) -> str | None:
    """What keeps a threshold from being acted on, in one sentence with the frames it needs; None where nothing."""
    more = frames_needed(threshold, frames=frames, interval_ratio_limit=interval_ratio_limit)
    if not more:
        return None
    width = threshold.interval_high / threshold.interval_low
    return (
        f"the threshold for {threshold.false_reject_ratio:.2g} false rejects lies anywhere in a range of "
        f"{width:.2f} to 1, {interval_ratio_limit:.2f} to 1 is asked: about {more} more frames are needed"
    )
