"""Maximum mean discrepancy of embedding sketches, with a permutation null (Gretton et al., 2012)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

PERMUTATIONS = 200


@dataclass(frozen=True)
class Discrepancy:
    """`squared` is the unbiased estimate of MMD squared, about 0 where nothing changed; `p_value` at least 1/201."""

    squared: float
    p_value: float


def mmd(
    reference: Float64[np.ndarray, "n d"],
    sample: Float64[np.ndarray, "m d"],
    rng: np.random.Generator,
    *,
    permutations: int = PERMUTATIONS,
) -> Discrepancy:
    """How unlike the two sets of sketches are, under a Gaussian kernel as wide as their median distance.

    The p-value is exact for exchangeable frames: the share of relabellings at least as unlike, the given one counted.
    """
    kernel = gaussian_kernel(np.concatenate([reference, sample]))
    frames, count = len(kernel), len(sample)
    labels = np.stack([np.arange(frames) >= len(reference), *_relabelled(frames, count, permutations, rng)])
    values = _squared(kernel, labels.astype(np.float64))
    return Discrepancy(float(values[0]), float((values >= values[0] - 1e-12).mean()))


def gaussian_kernel(sketches: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n n"]:
    """exp(-distance^2 / median distance^2) of every pair; ones where all are equal."""
    norms = np.square(sketches).sum(axis=1)
    squared = np.maximum(norms[:, None] + norms - 2 * sketches @ sketches.T, 0.0)
    width = float(np.median(squared[np.triu_indices(len(sketches), 1)]))
    return np.exp(-squared / width) if width > 0 else np.ones_like(squared)


def _relabelled(frames: int, count: int, permutations: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.permutation(frames) < count for _ in range(permutations)]


def _squared(
    kernel: Float64[np.ndarray, "n n"], labels: Float64[np.ndarray, "relabellings n"]
) -> Float64[np.ndarray, "relabellings"]:
    """Unbiased MMD squared for each way (1: sample, 0: reference) to part the frames: no frame meets itself."""
    apart = kernel - np.diag(np.diag(kernel))
    total, towards = apart.sum(), labels @ apart
    within_sample = (towards * labels).sum(axis=1)
    across = towards.sum(axis=1) - within_sample
    within_reference = total - within_sample - 2 * across
    m = labels.sum(axis=1)
    n = labels.shape[1] - m
    return np.asarray(within_sample / (m * (m - 1)) + within_reference / (n * (n - 1)) - 2 * across / (m * n))
