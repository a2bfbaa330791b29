"""What a word on a defective frame makes of a window: its own patches, and the patches that vouch for them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.labels import Exemplars
from softpatch.building.projection import project, projection_matrix
from softpatch.building.rejection import LEAST_SIGMA, NORMAL_QUARTILE
from softpatch.discriminators.expected_nearest import NEIGHBOURHOOD
from softpatch.settings import BuildSettings

NEAR_SIGMAS = 3.0
"""How far below the median the log distance to a defect's patch must lie, in sigmas of the upper half, which no frame
with the same defect moves."""

FRAMES_AT_ONCE = 128

WORST_SHARE = 0.7
"""The defective patches of a frame, or of a box on it: those whose factor is at least so much of the largest there."""

MOST_NEGATIVES = 64
"""Patches of one defective frame that are kept, the worst first."""


@dataclass(frozen=True)
class Vouching:
    """Patches near to a defect's, and the frames that are so at most of its positions: they show the same defect."""

    patches: Bool[np.ndarray, "frames p q"]
    frames: Bool[np.ndarray, "frames"]


def vouching_patches(
    embeddings: EmbeddingBuffer,
    factors: Float32[np.ndarray, "n p q"],
    defect: Exemplars,
    settings: BuildSettings,
    *,
    window_frames: int,
) -> Vouching:
    """The window's patches that are exceptionally near to a patch of the defect, within one position of it.

    Near is judged position by position against all other frames of the window, so that a defect which looks like good
    parts excludes none of them.
    """
    patches = np.zeros((window_frames, *factors.shape[1:]), np.bool_)
    frames = np.zeros(window_frames, np.bool_)
    matrix = projection_matrix(embeddings.dimension, settings.projection_dims, seed=settings.seed)
    for row in (row for row in defect.rows if row >= window_frames):
        own = project(embeddings.take(range(row, row + 1)), matrix)[0]
        positions = np.zeros(window_frames, np.int64)
        places = np.argwhere(_defective(defect, factors[row]))
        distances = [
            _distances(project(embeddings.take(frames), matrix), own, places) for frames in _chunks(window_frames)
        ]
        for (r, c), distance in zip(places.tolist(), map(np.concatenate, zip(*distances, strict=True)), strict=True):
            near = _exceptional(distance)
            patches[:, *_around(r, c)] |= near
            positions += near.any(axis=(1, 2))
        frames |= positions > len(places) / 2
    return Vouching(patches, frames)


def negative_patches(
    embeddings: EmbeddingBuffer, factors: Float32[np.ndarray, "n p q"], defect: Exemplars, *, window_frames: int
) -> Float32[np.ndarray, "k d"]:
    """The defect's own patches: what is nearer to one of them than to the bank scores more."""
    patches = [np.empty((0, embeddings.dimension), np.float32)]
    for row in (row for row in defect.rows if row >= window_frames):
        places = np.argwhere(_defective(defect, factors[row]))
        worst = places[np.argsort(-factors[row][tuple(places.T)])][:MOST_NEGATIVES]
        patches.append(embeddings.take(range(row, row + 1))[0][tuple(worst.T)])
    return np.concatenate(patches)


def _chunks(frames: int) -> list[range]:
    return [range(start, min(frames, start + FRAMES_AT_ONCE)) for start in range(0, frames, FRAMES_AT_ONCE)]


def _distances(
    window: Float32[np.ndarray, "m p q k"], own: Float32[np.ndarray, "p q k"], places: Int64[np.ndarray, "cells 2"]
) -> list[np.ndarray]:
    """Per place, each frame's distances to the defect's patch there, of the patches around it."""
    return [np.linalg.norm(window[:, *_around(r, c)] - own[r, c], axis=-1) for r, c in places.tolist()]


def _around(row: int, column: int) -> tuple[slice, slice]:
    rows = slice(max(0, row - NEIGHBOURHOOD), row + NEIGHBOURHOOD + 1)
    return rows, slice(max(0, column - NEIGHBOURHOOD), column + NEIGHBOURHOOD + 1)


def _defective(defect: Exemplars, factors: Float32[np.ndarray, "p q"]) -> Bool[np.ndarray, "p q"]:
    inside = np.where(defect.cells, factors, np.float32(0))
    return np.asarray(inside >= max(WORST_SHARE * float(inside.max()), float(np.finfo(np.float32).tiny)))


def _exceptional(distance: Float32[np.ndarray, "frames r c"]) -> Bool[np.ndarray, "frames r c"]:
    """Patches nearer than chance puts any, by the frames' own nearest."""
    logs = np.log(np.maximum(distance, np.finfo(np.float32).tiny))
    nearest = logs.reshape(len(logs), -1).min(axis=1)
    median, quartile = np.quantile(nearest, [0.5, 0.75])
    sigma = max((quartile - median) / NORMAL_QUARTILE, LEAST_SIGMA)
    return np.asarray(logs < median - NEAR_SIGMAS * sigma)
