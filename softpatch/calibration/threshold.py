"""From contaminated calibration scores to a threshold: how far good frames reach, whatever defects lie among them."""

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from jaxtyping import Float32, Float64

from softpatch.bank import Bank, Threshold
from softpatch.calibration.extreme_value import LEAST_SCALE, MOST_FRAMES, TINY, BinnedScores, binned, gev_grid

RULE = (
    "posterior median over extreme value laws with uniform noise, fitted above the median of log cross-fitted scores, "
    f"which weigh as {MOST_FRAMES} frames at most; interval 5 to 95 % of the same, bagged over resamples in runs of "
    "ten frames"
)

_RESAMPLES = 100
_BLOCK_FRAMES = 10
_LARGEST_LOG = float(np.log(np.finfo(np.float32).max))
_RATIOS = np.geomspace(0.0005, 0.4, 60)


@dataclass(frozen=True)
class Suggestion:
    """A threshold for the asked false-reject ratio, and the estimated share of defective frames in the window."""

    threshold: Threshold
    noise_estimate: float


def suggest(scores: Float32[np.ndarray, "frames"], *, false_reject_ratio: float, seed: int) -> Suggestion:
    """The threshold that rejects this share of good frames, by `RULE`.

    A plain quantile would lie among the defects, one of trimmed scores too low. The interval is a bagged posterior
    (Huggins and Miller, 2019), over runs of neighbouring frames: single draws would feign certainty.
    """
    found = binned(scores)
    considered = gev_grid()
    weights = considered.weights(found.counts()[:, None])
    believed = considered.weights(_resamples(found, len(scores), seed)).sum(axis=1)
    value = _limit(found, weights.sum(axis=1), false_reject_ratio)
    low, high = _weighted_quantiles(considered.quantile(1 - false_reject_ratio), believed, [0.05, 0.95])
    rejects_low, rejects_high = _weighted_quantiles(considered.beyond(value), believed, [0.05, 0.95])
    threshold = Threshold(
        value=_score(found, value),
        interval_low=_score(found, min(low, value)),
        interval_high=_score(found, max(high, value)),
        false_reject_ratio=false_reject_ratio,
        false_reject_low=min(rejects_low, false_reject_ratio),
        false_reject_high=max(rejects_high, false_reject_ratio),
        rule=RULE,
    )
    return Suggestion(threshold, considered.noise(weights))


@dataclass(frozen=True)
class CheapestRatio:
    """The false-reject ratio at which a frame costs least in the mean, and what it costs, in the unit of the costs."""

    false_reject_ratio: float
    cost_per_frame: float


def cheapest_ratio(scores: Float32[np.ndarray, "frames"], *, cost_reject: float, cost_escape: float) -> CheapestRatio:
    """What ratio to ask for, where a good frame that fails and a defective one that passes cost so much.

    By the same laws as `suggest`, and as many defects of the same kinds as in the window: what no law of good frames
    explains, evenly spread above their median. Defects that hide among good scores are in no estimate.

    Raises:
        ValueError: a cost is not above 0.
    """
    if not (cost_reject > 0 and cost_escape > 0):
        raise ValueError(f"costs {cost_reject:g} and {cost_escape:g} must be above 0")
    considered = gev_grid()
    found = binned(scores)
    weights = considered.weights(found.counts()[:, None])
    believed = weights.sum(axis=1)

    def at(ratio: float) -> CheapestRatio:
        limit = _limit(found, believed, ratio)
        return CheapestRatio(ratio, considered.cost(limit, weights, reject=cost_reject, escape=cost_escape))

    return min((at(ratio) for ratio in _RATIOS.tolist()), key=lambda each: each.cost_per_frame)


def threshold_of(bank: Bank, false_reject_ratio: float) -> float:
    """What a bank gives for this ratio: its own threshold where it was built for it, else by its calibration scores.

    Banks of earlier versions: their own threshold was found by the rule that it names, and for any other ratio today's
    rule is asked, of scores that are some percent too high. The two need not lie in order.
    """
    own = bank.manifest.threshold
    if own.false_reject_ratio == false_reject_ratio:
        return own.value
    seed = bank.manifest.settings.seed
    return suggest(bank.calibration_scores, false_reject_ratio=false_reject_ratio, seed=seed).threshold.value


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


def _limit(found: BinnedScores, believed: Float32[np.ndarray, "laws"], ratio: float) -> float:
    """The posterior median of the score that this share of good frames exceeds, in the window's units.

    Never within what two runtimes differ by of the median: where most scores are equal, no law is pinned from below.
    """
    (quantile,) = _weighted_quantiles(gev_grid().quantile(1 - ratio), believed, [0.5])
    return max(quantile, LEAST_SCALE / found.unit)


def _resamples(found: BinnedScores, frames: int, seed: int) -> Float32[np.ndarray, "bins resamples"]:
    """Counts of as many frames, in runs of up to ten, drawn anew each time."""
    rng = np.random.default_rng(seed)
    block = min(_BLOCK_FRAMES, frames)
    drawn = []
    for _ in range(_RESAMPLES):
        starts = rng.integers(0, frames - block + 1, size=-(-frames // block))
        drawn.append(found.counts((starts[:, None] + np.arange(block)).ravel()[:frames]))
    return np.stack(drawn, axis=1)


def _weighted_quantiles(
    values: Float64[np.ndarray, "laws"], weights: Float32[np.ndarray, "laws"], probabilities: list[float]
) -> list[float]:
    """Quantiles of values that are believed unequally."""
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order].astype(np.float64))
    found: list[float] = np.interp(np.array(probabilities) * cumulated[-1], cumulated, values[order]).tolist()
    return found


def _score(found: BinnedScores, standard: float) -> float:
    return max(float(np.exp(min(found.middle + found.unit * standard, _LARGEST_LOG))), TINY)
