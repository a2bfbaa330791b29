"""How far good frames' scores reach: every law that could have given a window's scores, weighed against them.

A frame's score is a maximum over many patches, so that good frames' log scores follow a generalised extreme value law.
The others are uniform noise above the median (a component that takes what no law explains: Banfield and Raftery, 1993).
All is in units of the window itself: 0 is the median of its log scores, 1 the scale that their lower quartile implies.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float32, Float64

LOCATIONS = np.arange(-1.1, 0.35, 0.1)
SCALES = np.exp(np.arange(-0.9, 0.75, 0.1))
SHAPES = np.linspace(-0.2, 0.4, 13).round(2)
NOISES = np.array([0, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4])
REACHES = np.array([3.0, 6.0, 12.0, 24.0])
"""Up to where noise lies: subtle defects, plain ones, both."""

EDGES = np.linspace(0, 5, 26)
"""Scores are counted between these. Below the median they are one (a likelihood censored there): a law that bends to
follow the bulk leads the tail astray. So are those beyond the last: how far beyond says nothing of good frames, only
that many defects are alike, and no law should stretch to reach them."""

MOST_FRAMES = 400
"""A longer window weighs as much as one of that length (a posterior coarsened after Miller and Dunson, 2019): no law
is quite true, and thousands of frames would be sure of the least untrue."""

LEAST_SCALE = 0.002
"""Of log scores: windows of near copies differ by less than two runtimes do."""

TINY = float(np.finfo(np.float32).tiny)

LEAST_SHARE = 1e-3
"""Of the largest score: what is below says no more than that. The log of a copy's 0 would stretch the unit."""

SHAPE_MEAN, SHAPE_DEVIATION, NOISE_MEAN = -0.05, 0.15, 0.15
"""What is believed before any score is seen: shapes normal about a mean, shares of noise exponential. Tails may be
light or heavy, and few frames are noise: what stands out may be defects, and may be good frames after all."""

_UNIT = 0.7
"""From the lower quartile to the median of a law of scale 1, whatever its shape: 0.69 to 0.70."""

_NEVER = 1e-7


@dataclass(frozen=True)
class BinnedScores:
    """Scores as places between the edges, in a unit of their own."""

    middle: float
    unit: float
    place: np.ndarray

    def counts(self, which: np.ndarray | slice = slice(None)) -> Float32[np.ndarray, "bins"]:
        """Of those frames only."""
        return np.bincount(self.place[which], minlength=len(EDGES) + 1).astype(np.float32)


def binned(scores: Float32[np.ndarray, "frames"]) -> BinnedScores:
    """Log scores in units of their own median and lower quartile, which defects move least."""
    logs = np.log(np.maximum(scores.astype(np.float64), max(TINY, LEAST_SHARE * float(scores.max()))))
    middle, quartile = np.quantile(logs, [0.5, 0.25]).tolist()
    unit = max((middle - quartile) / _UNIT, LEAST_SCALE)
    place = np.searchsorted(EDGES, (logs - middle) / unit)
    return BinnedScores(middle, unit, place)


@dataclass(frozen=True)
class GevGrid:
    """Every law considered; hypotheses are laws x reaches x noises, flattened in this order."""

    location: Float64[np.ndarray, "laws"]
    scale: Float64[np.ndarray, "laws"]
    shape: Float64[np.ndarray, "laws"]
    log_shares: Float32[np.ndarray, "hypotheses bins"]
    log_prior: Float32[np.ndarray, "hypotheses"]

    def quantile(self, probability: float) -> Float64[np.ndarray, "laws"]:
        """The score that this share of good frames stays below, by each law."""
        rarity = -np.log(-np.log(probability))
        bent = self.shape != 0
        shape = np.where(bent, self.shape, 1)
        return np.asarray(self.location + self.scale * np.where(bent, np.expm1(shape * rarity) / shape, rarity))

    def beyond(self, score: float) -> Float64[np.ndarray, "laws"]:
        """The share of good frames above that score, by each law."""
        return np.asarray(1 - _below(score, self.location, self.scale, self.shape))

    def cost(
        self, score: float, weights: Float32[np.ndarray, "laws mixtures"], *, reject: float, escape: float
    ) -> float:
        """What a frame is believed to cost where that score is the limit: good ones rejected, defective ones passed.

        Frames beyond the last reach are never passed.
        """
        by_noise = weights.reshape(len(self.location), len(REACHES), len(NOISES)).astype(np.float64)
        rejected = self.beyond(score) @ by_noise.sum(axis=1) @ (1 - NOISES)
        escaped = np.clip(score / REACHES, 0, 1) @ by_noise.sum(axis=0) @ NOISES
        return float(reject * rejected + escape * escaped)

    def weights(self, counts: Float32[np.ndarray, "bins samples"]) -> Float32[np.ndarray, "laws mixtures"]:
        """How much each hypothesis is believed, mean over the samples; adds up to one."""
        weight = np.minimum(1, MOST_FRAMES / counts.sum(axis=0))
        belief = self.log_shares @ (counts * weight)
        belief += self.log_prior[:, None]
        belief -= belief.max(axis=0)
        np.exp(belief, out=belief)
        belief /= belief.sum(axis=0)
        mean = belief.mean(axis=1)
        return np.asarray(mean.reshape(len(self.location), -1))

    def noise(self, weights: Float32[np.ndarray, "laws mixtures"]) -> float:
        """The believed share of frames that no law of good frames explains."""
        return float(weights.sum(axis=0).reshape(len(REACHES), len(NOISES)).sum(axis=0) @ NOISES)


@cache
def gev_grid() -> GevGrid:
    """All of them, made once per process."""
    grid = np.meshgrid(LOCATIONS, SCALES, SHAPES, indexing="ij")
    location, scale, shape = (axis.ravel() for axis in grid)
    cumulated = np.array([_below(edge, location, scale, shape) for edge in EDGES]).T
    good = np.diff(cumulated, prepend=0, append=1, axis=1)
    noise = np.diff(np.clip(EDGES / REACHES[:, None], 0, 1), prepend=0, append=1, axis=1)
    share = NOISES[:, None]
    mixed = (1 - share) * good[:, None, None, :] + share * noise[None, :, None, :]
    log_shares = np.log(mixed + _NEVER).astype(np.float32).reshape(-1, len(EDGES) + 1)
    return GevGrid(location, scale, shape, log_shares, _log_prior(shape))


def _log_prior(shape: Float64[np.ndarray, "laws"]) -> Float32[np.ndarray, "hypotheses"]:
    """Locations, log scales and reaches are all alike to it."""
    of_shape = -0.5 * ((shape - SHAPE_MEAN) / SHAPE_DEVIATION) ** 2
    of_noise = np.log(np.gradient(NOISES)) - NOISES / NOISE_MEAN
    return np.asarray((of_shape[:, None] + np.tile(of_noise, len(REACHES))).ravel().astype(np.float32))


def noise_share(scores: Float32[np.ndarray, "frames"]) -> float:
    """The estimated share of defective frames, from anything that is larger for stranger ones."""
    considered = gev_grid()
    return considered.noise(considered.weights(binned(scores).counts()[:, None]))


def _below(
    score: float,
    location: Float64[np.ndarray, "laws"],
    scale: Float64[np.ndarray, "laws"],
    shape: Float64[np.ndarray, "laws"],
) -> Float64[np.ndarray, "laws"]:
    """The distribution function of the generalised extreme value law (shape 0: Gumbel's)."""
    standard, bent = (score - location) / scale, shape != 0
    inside = np.maximum(1 + shape * standard, 1e-12)
    rate = np.where(bent, -np.log(inside) / np.where(bent, shape, 1), -standard)
    return np.asarray(np.exp(-np.exp(np.minimum(rate, 700))))
