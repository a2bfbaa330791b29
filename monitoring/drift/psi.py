"""Population stability index with a null of its own: fixed limits of 0.1 and 0.25 mean nothing without sample sizes.

With 64 new frames and ten bins an undisturbed line shows a PSI above 0.1 more often than not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

BINS = 10
EMPTY_BIN = 0.5
"""Frames added to each bin, so that an empty one gives no infinite index."""
NULL_DRAWS = 2000


def psi(ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]) -> float:
    """The index over BINS bins that hold equally many of the reference; `ordered` is sorted."""
    edges = ordered[_edge_places(len(ordered))]
    return float(index(_counts(edges, ordered), _counts(edges, sample)))


def psi_p_value(value: float, *, reference_frames: int, sample_frames: int) -> float:
    """The share of undisturbed samples of these sizes whose index is at least so large, this one counted among them."""
    null = null_indices(reference_frames, sample_frames)
    return float((1 + len(null) - np.searchsorted(null, value, side="left")) / (1 + len(null)))


@lru_cache(maxsize=256)
def null_indices(reference_frames: int, sample_frames: int) -> Float64[np.ndarray, "draws"]:
    """Indices of NULL_DRAWS undisturbed pairs of samples, rising.

    Bins are made of the reference's ranks, so the null is the same for every continuous quantity: uniform numbers do.
    """
    rng = np.random.default_rng((reference_frames, sample_frames))
    drawn = [_null_index(rng, reference_frames, sample_frames) for _ in range(NULL_DRAWS)]
    return np.sort(np.array(drawn))


def index(reference: Int64[np.ndarray, "bins"], sample: Int64[np.ndarray, "bins"]) -> float:
    """Sum over bins of (q - p) ln(q / p), with EMPTY_BIN added to every count."""
    p = (reference + EMPTY_BIN) / (reference.sum() + EMPTY_BIN * len(reference))
    q = (sample + EMPTY_BIN) / (sample.sum() + EMPTY_BIN * len(sample))
    return float(((q - p) * np.log(q / p)).sum())


def _null_index(rng: np.random.Generator, reference_frames: int, sample_frames: int) -> float:
    return psi(np.sort(rng.random(reference_frames)), rng.random(sample_frames))


def _edge_places(frames: int) -> Int64[np.ndarray, "edges"]:
    return np.arange(1, BINS) * frames // BINS


def _counts(edges: Float64[np.ndarray, "edges"], values: Float64[np.ndarray, "n"]) -> Int64[np.ndarray, "bins"]:
    """How many values lie in each bin; a value at an edge belongs to the upper one."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
