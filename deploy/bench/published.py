"""SoftPatch as published, step by step on NumPy and FAISS: what `patchline bench --against-published` measures against.

Jiang et al., "SoftPatch: Unsupervised Anomaly Detection with Noisy Data", NeurIPS 2022, with PatchCore's coreset. LOF
is computed in all dimensions, one position after the other; each pick of the coreset measures every patch anew. The
published programs compute the squared norms again with each pick, too; here they are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

NEIGHBOURS = 6
NOISE_RATIO = 0.15
CORESET_RATIO = 0.1
PROJECTED_DIMENSIONS = 128
STARTING_POINTS = 10

_TINY = np.float32(1e-10)


@dataclass(frozen=True, eq=False)
class PublishedBank:
    """The coreset's patches, and the outlier factor of each, which is its soft weight."""

    vectors: Float32[np.ndarray, "m d"]
    weights: Float32[np.ndarray, "m"]


def lof_factors(embeddings: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n p q"]:
    """Eq. 4 to 6 with k = 6, across the frames at each position. Needs more than six frames."""
    count, rows, columns, _ = embeddings.shape
    factors = np.empty((count, rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            factors[:, row, column] = _lof(embeddings[:, row, column])
    return factors


def published_bank(
    embeddings: Float32[np.ndarray, "n p q d"], factors: Float32[np.ndarray, "n p q"], *, seed: int
) -> PublishedBank:
    """Drop the 15 % of patches with the largest factors, and draw a tenth of all patches from the others."""
    patches, weights = embeddings.reshape(-1, embeddings.shape[-1]), factors.reshape(-1)
    kept = np.flatnonzero(weights <= np.quantile(weights, 1 - NOISE_RATIO))
    picks = kept[coreset_rows(patches[kept], round(CORESET_RATIO * len(patches)), seed=seed)]
    return PublishedBank(patches[picks], weights[picks])


def coreset_rows(patches: Float32[np.ndarray, "n d"], size: int, *, seed: int) -> Int64[np.ndarray, "size"]:
    """PatchCore's approximate greedy coreset: in a random projection, from ten random patches on."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal((patches.shape[1], PROJECTED_DIMENSIONS)) / np.sqrt(PROJECTED_DIMENSIONS)
    start = rng.choice(len(patches), min(STARTING_POINTS, len(patches)), replace=False)
    return farthest_first(patches @ drawn.astype(np.float32), start, size)


def farthest_first(
    points: Float32[np.ndarray, "n d"], start: Int64[np.ndarray, "k"], size: int
) -> Int64[np.ndarray, "size"]:
    """Rows of the picks, always the point farthest from all picks; its mean distance to `start` counts as one."""
    squared_norms = np.einsum("nd,nd->n", points, points)

    def distances(row: int) -> Float32[np.ndarray, "n"]:
        squared = squared_norms + squared_norms[row] - 2 * (points @ points[row])
        return np.asarray(np.sqrt(np.maximum(squared, 0)))

    nearest = np.mean([distances(row) for row in start], axis=0)
    picks = np.empty(size, np.int64)
    for place in range(size):
        picks[place] = nearest.argmax()
        nearest = np.minimum(nearest, distances(picks[place]))
    return picks


class PublishedScorer:
    """Eq. 7 and 8 by FAISS's flat index, on FAISS's own threads."""

    def __init__(self, bank: PublishedBank) -> None:
        self._weights = bank.weights
        self._index = faiss.IndexFlatL2(bank.vectors.shape[1])
        self._index.add(bank.vectors)

    def patch_scores(self, embedding: Float32[np.ndarray, "p q d"]) -> Float32[np.ndarray, "p q"]:
        """Soft weight of the nearest bank patch times the distance to it; the frame's score is the largest."""
        squared, row = self._index.search(embedding.reshape(-1, embedding.shape[-1]), 1)
        scores = self._weights[row[:, 0]] * np.sqrt(np.maximum(squared[:, 0], 0))
        return np.asarray(scores.reshape(embedding.shape[:2]))


def _lof(patches: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n"]:
    centred = patches - patches.mean(axis=0)  # distances stay, and float32 loses no digits to a common offset
    squared_norms = np.einsum("nd,nd->n", centred, centred)
    squared = squared_norms[:, None] + squared_norms - 2 * centred @ centred.T
    np.fill_diagonal(squared, np.inf)
    neighbours = np.argpartition(squared, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    distance = np.sqrt(np.maximum(np.take_along_axis(squared, neighbours, axis=1), 0))
    reach = np.maximum(distance.max(axis=1)[neighbours], distance)  # Eq. 5
    density = 1 / (reach.mean(axis=1) + _TINY)  # Eq. 4
    return np.asarray(density[neighbours].mean(axis=1) / density)  # Eq. 6
