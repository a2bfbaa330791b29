"""What a word on a defective frame makes of a window: its own patches, and the patches that vouch for them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.labels import Exemplars
from softpatch.building.near_patches import near_patches
from softpatch.building.projection import ProjectedGroups

FRAMES_AT_ONCE = 128

WORST_SHARE = 0.7
"""The defective patches of a frame, or of a box on it: those whose factor is at least so much of the largest there."""

MOST_NEGATIVES = 64
"""Patches of one defective frame that are kept, the worst first."""


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


@dataclass(frozen=True)
class Vouching:
    """Patches near to a defect's, and the frames that are so at most of its positions: they show the same defect."""

    patches: Bool[np.ndarray, "frames p q"]
    frames: Bool[np.ndarray, "frames"]


def vouching_patches(
    projected: ProjectedGroups,
    factors: Float32[np.ndarray, "n p q"],
    defect: Exemplars,
    *,
    window_frames: int,
) -> Vouching:
    """The window's patches that are exceptionally near to a patch of the defect, within one position of it.

    Near is judged position by position against all other frames of the window, so that a defect which looks like good
    parts excludes none of them.
    """
    patches = np.zeros((window_frames, *factors.shape[1:]), np.bool_)
    frames = np.zeros(window_frames, np.bool_)
    chunks = _chunks(window_frames)
    for row in (row for row in defect.rows if row >= window_frames):
        places = np.argwhere(_defective(defect, factors[row]))
        own = projected.take(range(row, row + 1))[0]
        window = (projected.take(chunk) for chunk in chunks)
        near_places = np.zeros(window_frames, np.int64)
        for around, near in near_patches(own, window, places):
            patches[:, *around] |= near
            near_places += near.any(axis=(1, 2))
        frames |= near_places > len(places) / 2
    return Vouching(patches, frames)


def _defective(defect: Exemplars, factors: Float32[np.ndarray, "p q"]) -> Bool[np.ndarray, "p q"]:
    inside = np.where(defect.cells, factors, np.float32(0))
    return np.asarray(inside >= max(WORST_SHARE * float(inside.max()), float(np.finfo(np.float32).tiny)))


def _chunks(frames: int) -> list[range]:
    return [range(start, min(frames, start + FRAMES_AT_ONCE)) for start in range(0, frames, FRAMES_AT_ONCE)]
