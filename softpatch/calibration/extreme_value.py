"""The distribution of good frames' scores: a posterior over extreme value distributions, given a window's scores.

A frame's score is a maximum over many patches, so good frames' log scores follow a generalised extreme value
distribution. The other frames are uniform noise above the median (a component for what no such distribution explains:
Banfield and Raftery, 1993). All is in units of the window itself: 0 is the median of its log scores, 1 the scale that
their lower quartile implies.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64

LOCATIONS = np.arange(-1.1, 0.35, 0.1)
SCALES = np.exp(np.arange(-0.9, 0.75, 0.1))
SHAPES = np.linspace(-0.2, 0.4, 13).round(2)
NOISES = np.array([0, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4])
NOISE_LIMITS = np.array([3.0, 6.0, 12.0, 24.0])
"""Uniform noise lies between 0 and one of these: subtle defects, plain ones, both."""

EDGES = np.linspace(0, 5, 26)
"""Scores are counted between these. Those below the median are one bin (a likelihood censored there): a distribution
that follows the bulk misleads about the tail. Those beyond the last are one bin, too: how far beyond is no evidence
on good frames, and no distribution should stretch to cover defects that are alike."""

MOST_FRAMES = 400
"""A longer window weighs as much as one of that length (a posterior coarsened after Miller and Dunson, 2019): no
distribution is quite true, and thousands of frames would make the least untrue one certain."""

LEAST_SCALE = 0.002
"""Of log scores: windows of near copies differ by less than two runtimes do."""

TINY = float(np.finfo(np.float32).tiny)

LEAST_SHARE = 1e-3
"""Scores below this share of the largest are raised to it: the log of a copy's 0 would stretch the unit."""

SHAPE_MEAN, SHAPE_DEVIATION, NOISE_MEAN = -0.05, 0.15, 0.15
"""The prior: shapes normal about a mean, shares of noise exponential. Tails may be light or heavy, and few frames are
noise: what stands out may be defects, and may be good frames after all."""

_UNIT = 0.7
"""From the lower quartile to the median of a distribution of scale 1, whatever its shape: 0.69 to 0.70."""

_NEVER = 1e-7
_LEAST_LOG_WEIGHT = -80.0
"""Of a hypothesis, relative to the likeliest: smaller weights add nothing, and take ten times as long to reckon with
where float32 has no normal number for them."""
_RESAMPLES = 100
_AT_ONCE = 50
"""Resamples weighed together, in 30 MB."""
_BLOCK_FRAMES = 10
_LARGEST_LOG = float(np.log(np.finfo(np.float32).max))


@dataclass(frozen=True)
class BinnedScores:
    """Scores as bins between the edges, and the unit and origin of these."""

    middle: float
    unit: float
    bins: np.ndarray

    def counts(self, which: np.ndarray | slice = slice(None)) -> Float32[np.ndarray, "bins"]:
        """How many of those frames lie in each bin."""
        return np.bincount(self.bins[which], minlength=len(EDGES) + 1).astype(np.float32)

    def score(self, standard: float) -> float:
        """A value in the window's units as a score."""
        return max(float(np.exp(min(self.middle + self.unit * standard, _LARGEST_LOG))), TINY)


def bin_scores(scores: Float32[np.ndarray, "frames"]) -> BinnedScores:
    """Log scores in units of their own median and lower quartile, which defects move least."""
    logs = np.log(np.maximum(scores.astype(np.float64), max(TINY, LEAST_SHARE * float(scores.max()))))
    middle, quartile = np.quantile(logs, [0.5, 0.25]).tolist()
    unit = max((middle - quartile) / _UNIT, LEAST_SCALE)
    return BinnedScores(middle, unit, np.searchsorted(EDGES, (logs - middle) / unit))


@dataclass(frozen=True)
class GevGrid:
    """Every distribution considered; hypotheses are distributions x noise limits x noises, flattened in this order."""

    location: Float64[np.ndarray, "distributions"]
    scale: Float64[np.ndarray, "distributions"]
    shape: Float64[np.ndarray, "distributions"]
    log_weighed: Float32[np.ndarray, "bins_and_prior hypotheses"]
    """What a frame in each bin adds to a hypothesis' log weight, and in the last row its prior."""

    @property
    def log_shares(self) -> Float32[np.ndarray, "hypotheses bins"]:
        """The log of the share of frames in each bin, by each hypothesis."""
        return self.log_weighed[:-1].T

    def quantile(self, probability: float) -> Float64[np.ndarray, "distributions"]:
        """The value that this share of good frames stays below, by each distribution."""
        rarity = -np.log(-np.log(probability))
        bent = self.shape != 0
        shape = np.where(bent, self.shape, 1)
        return np.asarray(self.location + self.scale * np.where(bent, np.expm1(shape * rarity) / shape, rarity))

    def beyond(self, value: float) -> Float64[np.ndarray, "distributions"]:
        """The share of good frames above that value, by each distribution."""
        return np.asarray(1 - _gev_cdf(value, self.location, self.scale, self.shape))

    def cost(
        self, limit: float, weights: Float32[np.ndarray, "distributions mixtures"], *, reject: float, escape: float
    ) -> float:
        """Posterior mean cost of a frame with that value as the limit: good ones rejected, defective ones passed.

        Frames beyond the last noise limit are never passed.
        """
        by_noise = weights.reshape(len(self.location), len(NOISE_LIMITS), len(NOISES)).astype(np.float64)
        rejected = self.beyond(limit) @ by_noise.sum(axis=1) @ (1 - NOISES)
        escaped = np.clip(limit / NOISE_LIMITS, 0, 1) @ by_noise.sum(axis=0) @ NOISES
        return float(reject * rejected + escape * escaped)

    def weights(self, counts: Float32[np.ndarray, "bins samples"]) -> Float32[np.ndarray, "distributions mixtures"]:
        """Posterior weight of each hypothesis, mean over the samples; adds up to one."""
        coarsening = np.minimum(1, MOST_FRAMES / counts.sum(axis=0))
        weighed = np.concatenate([counts * coarsening, np.ones((1, counts.shape[1]), np.float32)])
        mean = np.zeros(self.log_weighed.shape[1], np.float32)
        for first in range(0, counts.shape[1], _AT_ONCE):
            weight = weighed[:, first : first + _AT_ONCE].T @ self.log_weighed
            weight -= weight.max(axis=1, keepdims=True)
            np.maximum(weight, _LEAST_LOG_WEIGHT, out=weight)
            np.exp(weight, out=weight)
            mean += (1 / weight.sum(axis=1)) @ weight
        return np.asarray((mean / np.float32(counts.shape[1])).reshape(len(self.location), -1))

    def noise_by_bin(self, weights: Float32[np.ndarray, "distributions mixtures"]) -> Float64[np.ndarray, "bins"]:
        """Posterior mean of the probability that a frame in each bin is one that no distribution explains."""
        shares = np.diff(np.clip(EDGES / NOISE_LIMITS[:, None], 0, 1), prepend=0, append=1, axis=1)
        noise = (NOISES[:, None] * shares[:, None, :]).reshape(-1, len(EDGES) + 1)
        by_bin = zip(noise.T, np.exp(self.log_weighed[:-1]), strict=True)
        return np.array([float((weights * (own / all_of.reshape(weights.shape))).sum()) for own, all_of in by_bin])

    def noise(self, weights: Float32[np.ndarray, "distributions mixtures"]) -> float:
        """Posterior mean of the share of frames that no distribution of good frames explains."""
        return float(weights.sum(axis=0).reshape(len(NOISE_LIMITS), len(NOISES)).sum(axis=0) @ NOISES)


@dataclass(frozen=True)
class ScorePosterior:
    """The posterior weights of all hypotheses, given a window's scores."""

    binned: BinnedScores
    weights: Float32[np.ndarray, "distributions mixtures"]

    @property
    def noise_share(self) -> float:
        """The estimated share of defective frames in the window."""
        return gev_grid().noise(self.weights)

    @property
    def noise_probabilities(self) -> Float64[np.ndarray, "frames"]:
        """Of each frame of the window, that it is none of those that a distribution of good frames explains."""
        return np.asarray(gev_grid().noise_by_bin(self.weights)[self.binned.bins])

    def limit(self, false_reject_ratio: float) -> float:
        """Posterior median of the value that this share of good frames exceeds, in the window's units.

        It lies above the window's median by what two runtimes differ by at least: where most scores are equal, nothing
        bounds a distribution from below.
        """
        quantiles = gev_grid().quantile(1 - false_reject_ratio)
        (quantile,) = _weighted_quantiles(quantiles, self.weights.sum(axis=1), [0.5])
        return max(quantile, LEAST_SCALE / self.binned.unit)

    def cost(self, false_reject_ratio: float, *, reject: float, escape: float) -> float:
        """Posterior mean cost of a frame at the limit for that ratio."""
        return gev_grid().cost(self.limit(false_reject_ratio), self.weights, reject=reject, escape=escape)


@dataclass(frozen=True)
class BaggedInterval:
    """Posterior weights of the distributions, averaged over resamples of the window (Huggins and Miller, 2019)."""

    weights: Float32[np.ndarray, "distributions"]

    def of_limit(self, false_reject_ratio: float) -> tuple[float, float]:
        """5 and 95 % of the value that this share of good frames exceeds."""
        low, high = _weighted_quantiles(gev_grid().quantile(1 - false_reject_ratio), self.weights, [0.05, 0.95])
        return low, high

    def of_false_rejects(self, limit: float) -> tuple[float, float]:
        """5 and 95 % of the share of good frames above that value."""
        low, high = _weighted_quantiles(gev_grid().beyond(limit), self.weights, [0.05, 0.95])
        return low, high


def posterior(scores: Float32[np.ndarray, "frames"]) -> ScorePosterior:
    """The posterior over all hypotheses, given those scores."""
    counted = bin_scores(scores)
    return ScorePosterior(counted, gev_grid().weights(counted.counts()[:, None]))


def bagged_interval(counted: BinnedScores, *, seed: int) -> BaggedInterval:
    """Resampled in runs of ten neighbouring frames: single draws would understate the uncertainty."""
    return BaggedInterval(gev_grid().weights(_resamples(counted, seed)).sum(axis=1))


def noise_share(scores: Float32[np.ndarray, "frames"]) -> float:
    """The estimated share of defective frames, from any value per frame that is larger for more anomalous ones."""
    return posterior(scores).noise_share


@cache
def gev_grid() -> GevGrid:
    """The grid of all distributions, made once per process."""
    grid = np.meshgrid(LOCATIONS, SCALES, SHAPES, indexing="ij")
    location, scale, shape = (axis.ravel() for axis in grid)
    cumulated = np.array([_gev_cdf(edge, location, scale, shape) for edge in EDGES]).T
    good = np.diff(cumulated, prepend=0, append=1, axis=1)
    noise = np.diff(np.clip(EDGES / NOISE_LIMITS[:, None], 0, 1), prepend=0, append=1, axis=1)
    share = NOISES[:, None]
    mixed = (1 - share) * good[:, None, None, :] + share * noise[None, :, None, :]
    log_shares = np.log(mixed + _NEVER).astype(np.float32).reshape(-1, len(EDGES) + 1)
    log_weighed = np.concatenate([log_shares.T, _log_prior(shape)[None]])
    return GevGrid(location, scale, shape, np.ascontiguousarray(log_weighed))


def _log_prior(shape: Float64[np.ndarray, "distributions"]) -> Float32[np.ndarray, "hypotheses"]:
    """Flat in locations, log scales and noise limits."""
    of_shape = -0.5 * ((shape - SHAPE_MEAN) / SHAPE_DEVIATION) ** 2
    of_noise = np.log(np.gradient(NOISES)) - NOISES / NOISE_MEAN
    return np.asarray((of_shape[:, None] + np.tile(of_noise, len(NOISE_LIMITS))).ravel().astype(np.float32))


def _resamples(counted: BinnedScores, seed: int) -> Float32[np.ndarray, "bins resamples"]:
    """Counts of as many frames as the window has, in runs of up to ten, drawn anew for each resample."""
    rng, frames = np.random.default_rng(seed), len(counted.bins)
    block = min(_BLOCK_FRAMES, frames)
    drawn = []
    for _ in range(_RESAMPLES):
        starts = rng.integers(0, frames - block + 1, size=-(-frames // block))
        drawn.append(counted.counts((starts[:, None] + np.arange(block)).ravel()[:frames]))
    return np.stack(drawn, axis=1)


def _weighted_quantiles(
    values: Float64[np.ndarray, "distributions"],
    weights: Float32[np.ndarray, "distributions"],
    probabilities: list[float],
) -> list[float]:
    order = np.argsort(values)
    cumulated = np.cumsum(weights[order].astype(np.float64))
    quantiles: list[float] = np.interp(np.array(probabilities) * cumulated[-1], cumulated, values[order]).tolist()
    return quantiles


def _gev_cdf(
    value: float,
    location: Float64[np.ndarray, "distributions"],
    scale: Float64[np.ndarray, "distributions"],
    shape: Float64[np.ndarray, "distributions"],
) -> Float64[np.ndarray, "distributions"]:
    """The generalised extreme value distribution function (shape 0: Gumbel's)."""
    standard, bent = (value - location) / scale, shape != 0
    inside = np.maximum(1 + shape * standard, 1e-12)
    rate = np.where(bent, -np.log(inside) / np.where(bent, shape, 1), -standard)
    return np.asarray(np.exp(-np.exp(np.minimum(rate, 700))))
