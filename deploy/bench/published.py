"""SoftPatch as published, on the libraries of its program: what `patchline bench --against-published` measures against.

Jiang et al., "SoftPatch: Unsupervised Anomaly Detection with Noisy Data", NeurIPS 2022, with PatchCore's embedding and
coreset: the network, its patches and the coreset by PyTorch, LOF by scikit-learn in 128 random dimensions, the search
by FAISS. Steps and order are those of the published program, but for what the paper says otherwise: six neighbours
(the program takes its default, five) and the distance (it takes the squared one). Left out are its maps, its reading of
files, and what it does twice: it embeds the last batch again for its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import faiss
import numpy as np
import torch
from sklearn.neighbors import LocalOutlierFactor
from torch.nn import functional

from softpatch.network.export import PUBLISHED, timm_backbone

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, UInt8

NETWORK = PUBLISHED
NEIGHBOURS = 6
NOISE_RATIO = 0.15
CORESET_RATIO = 0.1
PROJECTED_DIMENSIONS = 128
STARTING_POINTS = 10
DIMENSIONS = 1024
NEIGHBOURHOOD = 3
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class PublishedBank:
    """The coreset's patches, and the outlier factor of each, which is its soft weight."""

    vectors: Float32[np.ndarray, "m d"]
    weights: Float32[np.ndarray, "m"]


class PublishedNetwork:
    """WideResNet50 to its third stage, with the random weights that `softpatch.network.export` gives it."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._backbone = timm_backbone(NETWORK, pretrained=False, reductions=(8, 16)).eval()
        self._mean, self._std = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, STD))

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """Neighbourhoods of 3 x 3 of both layers, the coarser ones interpolated, each pooled to 1024, then both."""
        with torch.no_grad():
            pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
            layers = self._backbone((pixels - self._mean) / self._std)
            grid = layers[0].shape[-2:]
            pooled = [_pooled(_neighbourhoods(layer, grid)) for layer in layers]
            embedded = _pooled(torch.stack(pooled, dim=1))
        return np.asarray(embedded.reshape(len(frames), *grid, DIMENSIONS))


def _neighbourhoods(layer: torch.Tensor, grid: torch.Size) -> torch.Tensor:
    """[n, c, h, w] to [n p q, c, 3, 3], of every position of the grid."""
    count, channels, rows, columns = layer.shape
    unfolded = functional.unfold(layer, NEIGHBOURHOOD, padding=NEIGHBOURHOOD // 2)
    patches = unfolded.reshape(count, channels, NEIGHBOURHOOD, NEIGHBOURHOOD, rows, columns)
    if (rows, columns) != tuple(grid):
        planes = patches.reshape(-1, 1, rows, columns)
        patches = functional.interpolate(planes, size=tuple(grid), mode="bilinear", align_corners=False)
    patches = patches.reshape(count, channels, NEIGHBOURHOOD, NEIGHBOURHOOD, *grid)
    return patches.permute(0, 4, 5, 1, 2, 3).reshape(-1, channels, NEIGHBOURHOOD, NEIGHBOURHOOD)


def _pooled(patches: torch.Tensor) -> torch.Tensor:
    return functional.adaptive_avg_pool1d(patches.reshape(len(patches), 1, -1), DIMENSIONS).squeeze(1)


def lof_factors(embeddings: Float32[np.ndarray, "n p q d"], *, seed: int) -> Float32[np.ndarray, "n p q"]:
    """Eq. 4 to 6 with k = 6, across the frames at each position, in a random projection. Needs more than six frames."""
    count, rows, columns, _ = embeddings.shape
    projected = _projected(embeddings.reshape(count * rows * columns, -1), seed=seed)
    factors = np.empty((rows * columns, count), np.float32)
    discriminator = LocalOutlierFactor(NEIGHBOURS, metric="l2")
    for place, patches in enumerate(projected.reshape(count, rows * columns, -1).permute(1, 0, 2)):
        factors[place] = -discriminator.fit(patches.numpy()).negative_outlier_factor_
    return np.ascontiguousarray(factors.T).reshape(count, rows, columns)


def published_bank(
    embeddings: Float32[np.ndarray, "n p q d"], factors: Float32[np.ndarray, "n p q"], *, seed: int
) -> PublishedBank:
    """A tenth of all patches; of the 15 % with the largest factors the first pick at most, as in the program."""
    patches, weights = embeddings.reshape(-1, embeddings.shape[-1]), factors.reshape(-1)
    kept = weights <= np.quantile(weights, 1 - NOISE_RATIO)
    start = np.random.default_rng(seed).choice(len(patches), min(STARTING_POINTS, len(patches)), replace=False)
    size = int(CORESET_RATIO * len(patches))
    picks = greedy_coreset(_projected(patches, seed=seed + 1), torch.from_numpy(kept), start, size)
    return PublishedBank(patches[picks], weights[picks])


def _projected(patches: Float32[np.ndarray, "n d"], *, seed: int) -> torch.Tensor:
    """By a linear layer as it is drawn."""
    with torch.random.fork_rng(devices=()), torch.no_grad():
        torch.manual_seed(seed)
        return torch.nn.Linear(patches.shape[1], PROJECTED_DIMENSIONS, bias=False)(torch.from_numpy(patches))


def greedy_coreset(
    points: torch.Tensor, kept: torch.Tensor, start: Int64[np.ndarray, "k"], size: int
) -> Int64[np.ndarray, "size"]:
    """Always the kept point farthest from all picks; its mean distance to `start` counts as one.

    Each pick measures every point anew, squared norms included. The distance to what is not kept counts as none, from
    the first pick on.
    """
    nearest = _distances(points, points[start]).mean(dim=1, keepdim=True)
    picks = np.empty(size, np.int64)
    for place in range(size):
        picks[place] = torch.argmax(nearest).item()
        apart = _distances(points, points[picks[place]][None]) * kept.unsqueeze(1)
        nearest = torch.cat([nearest, apart], dim=1).min(dim=1, keepdim=True).values
    return picks


def _distances(points: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    squares, other_squares = (each.unsqueeze(1).bmm(each.unsqueeze(2)).reshape(-1) for each in (points, others))
    return (-2 * (points @ others.T) + squares[:, None] + other_squares).clamp(min=0).sqrt()


class PublishedScorer:
    """Eq. 7 and 8 by FAISS's flat index."""

    def __init__(self, bank: PublishedBank, threads: int) -> None:
        faiss.omp_set_num_threads(threads)
        self._weights = bank.weights
        self._index = faiss.IndexFlatL2(bank.vectors.shape[1])
        self._index.add(bank.vectors)

    def patch_scores(self, embedding: Float32[np.ndarray, "p q d"]) -> Float32[np.ndarray, "p q"]:
        """Soft weight of the nearest bank patch times the distance to it; the frame's score is the largest."""
        squared, row = self._index.search(embedding.reshape(-1, embedding.shape[-1]), 1)
        scores = self._weights[row[:, 0]] * np.sqrt(np.maximum(squared[:, 0], 0))
        return np.asarray(scores.reshape(embedding.shape[:2]))
