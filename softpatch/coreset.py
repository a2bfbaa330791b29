"""Thinning out: a few thousand patches that leave no kept patch far from the bank."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int64
from numba import njit

from softpatch.settings import SamplerName

Sampler = Callable[[Float32[np.ndarray, "n d"], int, int], Int64[np.ndarray, "picks"]]
"""(patches, how many at most, seed) -> rows of the picks, in the order picked."""


def coreset_size(kept: int, *, ratio: float, cap: int) -> int:
    """Picks for that many kept patches: the share, at least one, at most the cap."""
    return min(cap, max(1, round(kept * ratio)))


def greedy_coreset(patches: Float32[np.ndarray, "n d"], size: int) -> Int64[np.ndarray, "picks"]:
    """Exact greedy k-center: first the patch farthest from the mean, then always the one farthest from all picks.

    Ties go to the lowest row. It stops early once every patch equals a pick: a bank holds no vector twice.
    The first m picks are the coreset of size m. Source: Gonzalez 1985, as PatchCore uses it.
    """
    if not len(patches) or size < 1:
        return np.empty(0, np.int64)
    mean = patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _greedy(np.ascontiguousarray(patches), mean, min(size, len(patches)))  # type: ignore[no-any-return]


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
@no_type_check
def _squared_distance(a, b):  # noqa: ANN001, ANN202 - numba infers them
    total = np.float32(0)
    for i in range(a.shape[0]):
        difference = a[i] - b[i]
        total += difference * difference
    return total


@njit(cache=True, nogil=True)
@no_type_check
def _farthest_from(patches, point):  # noqa: ANN001, ANN202 - numba infers them
    farthest, largest = 0, np.float32(-1)
    for row in range(patches.shape[0]):
        squared = _squared_distance(patches[row], point)
        if squared > largest:
            farthest, largest = row, squared
    return farthest


@njit(cache=True, nogil=True)
@no_type_check
def _greedy(patches, mean, size):  # noqa: ANN001, ANN202 - numba infers them
    """Pruned by the triangle inequality, which drops most distances and no pick.

    A patch can only move to the new pick if its own pick lies within twice its distance of the new one
    (squared: four times; the margin covers float32 rounding).
    """
    count = patches.shape[0]
    picks = np.empty(size, np.int64)
    squared = np.full(count, np.inf, np.float32)  # to the nearest pick
    nearest = np.zeros(count, np.int32)  # that pick, as its place in picks
    reach = np.empty(size, np.float32)  # per pick: a quarter of its squared distance to the new pick, less the margin
    farthest, largest = _farthest_from(patches, mean), np.float32(np.inf)
    for place in range(size):
        if largest == 0:
            return picks[:place]
        picks[place] = farthest
        new = patches[farthest]
        for other in range(place):
            reach[other] = np.float32(0.2499) * _squared_distance(patches[picks[other]], new)
        reach[place] = 0
        largest = np.float32(-1)
        for row in range(count):
            if squared[row] > reach[nearest[row]]:
                candidate = _squared_distance(patches[row], new)
                if candidate < squared[row]:
                    squared[row] = candidate
                    nearest[row] = place
            if squared[row] > largest:
                farthest, largest = row, squared[row]
    return picks


def random_coreset(patches: Float32[np.ndarray, "n d"], size: int, *, seed: int) -> Int64[np.ndarray, "picks"]:
    """Rows drawn without replacement."""
    return np.random.default_rng(seed).permutation(len(patches))[:size]


SAMPLERS: Mapping[SamplerName, Sampler] = MappingProxyType(
    {
        "greedy": lambda patches, size, _seed: greedy_coreset(patches, size),
        "random": lambda patches, size, seed: random_coreset(patches, size, seed=seed),
    }
)
