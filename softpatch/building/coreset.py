"""Coresets: a few thousand patches that leave no kept patch far from the bank."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, no_type_check, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from numba import njit

from softpatch.building.farthest_first import farthest_first, squared_distance, squared_distances
from softpatch.settings import SamplerName

_CANDIDATE_CENTRES = 32
"""Remaining picks near a lost one, of which the nearest takes over each patch that the lost one covered."""


@dataclass(frozen=True)
class Coreset:
    """Rows of the picks, in the order picked, and for every patch the place of its nearest pick among them."""

    picks: Int64[np.ndarray, "picks"]
    nearest: Int32[np.ndarray, "n"]


@dataclass(frozen=True)
class LostPicks:
    """A coreset of which some picks are lost, and the patches that may replace them: those nearest to these."""

    picks: Float32[np.ndarray, "picks d"]
    gone: Bool[np.ndarray, "picks"]
    patches: Float32[np.ndarray, "n d"]
    nearest: Int32[np.ndarray, "n"]


@runtime_checkable
class Sampler(Protocol):
    """How a coreset is drawn, and how it is completed where it loses some of its picks."""

    def draw(self, patches: Float32[np.ndarray, "n d"], size: int, *, seed: int) -> Coreset:
        """At most that many of them."""
        ...

    def refill(self, loss: LostPicks, *, seed: int) -> Int64[np.ndarray, "refills"]:
        """Rows of the loss's patches that replace the lost picks, at most as many."""
        ...


def coreset_size(kept: int, *, ratio: float, cap: int) -> int:
    """Picks for that many kept patches: the share, at least one, at most the cap."""
    return min(cap, max(1, round(kept * ratio)))


class Greedy:
    """Exact greedy k-center (Gonzalez 1985, as PatchCore uses it)."""

    def draw(self, patches: Float32[np.ndarray, "n d"], size: int, *, seed: int) -> Coreset:  # noqa: ARG002 - no chance
        """First the patch farthest from the mean, then always the one farthest from all picks.

        Ties go to the lowest row. It stops early once every patch equals a pick: a bank holds no vector twice.
        """
        if not len(patches) or size < 1:
            return Coreset(np.empty(0, np.int64), np.zeros(len(patches), np.int32))
        patches = np.ascontiguousarray(patches)
        mean = patches.mean(axis=0, dtype=np.float64).astype(np.float32)
        first = int(squared_distances(patches, mean).argmax())
        points = np.empty((min(size, len(patches)), patches.shape[1]), np.float32)
        points[0] = patches[first]
        squared, nearest = squared_distances(patches, points[0]), np.zeros(len(patches), np.int32)
        return Coreset(np.append(first, farthest_first(patches, points, 1, squared, nearest)), nearest)

    def refill(self, loss: LostPicks, *, seed: int) -> Int64[np.ndarray, "refills"]:
        """Greedy k-center, continued from the picks that are left: always the patch that is farthest from all.

        Distances to those that are left start as the least to the 32 nearest of the lost pick; they are exact for
        nearly all patches, and too large for the others.
        """
        patches, left, lost = loss.patches, loss.picks[~loss.gone], loss.picks[loss.gone]
        if not len(patches) or not len(lost):
            return np.empty(0, np.int64)
        if not len(left):
            return self.draw(patches, len(lost), seed=seed).picks
        points = np.empty((len(left) + min(len(lost), len(patches)), patches.shape[1]), np.float32)
        points[: len(left)] = left
        place = np.cumsum(loss.gone) - 1  # of a lost pick, among the lost ones
        squared, nearest = _nearest_candidates(patches, place[loss.nearest], points, _nearest_places(lost, left))
        return farthest_first(patches, points, len(left), squared, nearest)


class Random:
    """Patches drawn without replacement: the baseline that greedy is held against."""

    def draw(self, patches: Float32[np.ndarray, "n d"], size: int, *, seed: int) -> Coreset:
        """Random rows, and for each patch a random one of them as the nearest: no distance is computed."""
        rng = np.random.default_rng(seed)
        picks = rng.permutation(len(patches))[:size]
        nearest = rng.integers(0, max(1, len(picks)), len(patches), dtype=np.int32)
        nearest[picks] = np.arange(len(picks))
        return Coreset(picks, nearest)

    def refill(self, loss: LostPicks, *, seed: int) -> Int64[np.ndarray, "refills"]:
        """At random."""
        return np.random.default_rng(seed).permutation(len(loss.patches))[: int(loss.gone.sum())]


SAMPLERS: Mapping[SamplerName, Sampler] = MappingProxyType({"greedy": Greedy(), "random": Random()})


def _nearest_places(
    points: Float32[np.ndarray, "n d"], among: Float32[np.ndarray, "m d"]
) -> Int64[np.ndarray, "n candidates"]:
    """Of each point the places of the nearest few among others; which of two equally near ones is left open."""
    if len(among) <= _CANDIDATE_CENTRES:
        return np.broadcast_to(np.arange(len(among)), (len(points), len(among)))
    centre = among.mean(axis=0)
    others = among - centre
    closeness = np.einsum("md,md->m", others, others) - 2 * (points - centre) @ others.T
    return np.argpartition(closeness, _CANDIDATE_CENTRES, axis=1)[
        :, :_CANDIDATE_CENTRES
    ].copy()  # not a view of all places


@njit(cache=True, nogil=True)
@no_type_check
def _nearest_candidates(patches, lost, points, candidates):  # noqa: ANN001, ANN202 - numba infers them
    """Per patch the squared distance to the nearest candidate of its lost pick, and the place of that candidate."""
    squared = np.full(patches.shape[0], np.inf, np.float32)
    nearest = np.zeros(patches.shape[0], np.int32)
    for row in range(patches.shape[0]):
        for place in candidates[lost[row]]:
            distance = squared_distance(patches[row], points[place])
            if distance < squared[row]:
                squared[row] = distance
                nearest[row] = place
    return squared, nearest
