"""What a word on a defective frame makes of a window: its own patches, and the patches that vouch for them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.labels import Exemplars
from softpatch.building.near_patches import distances_to_each, near_patches
from softpatch.building.projection import ProjectedGroups

FRAMES_AT_ONCE = 128

WORST_SHARE = 0.7
"""The defective patches of a frame, or of a box on it: those whose factor is at least so much of the largest there."""

COPY_SHARE = 0.2
"""Of the median distance of the window's frames to a patch, how near another is its copy, where parts lie turned: of
screws with five types of defects none of 200 frames comes nearer than 0.29."""

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
    aligned: bool,
) -> Vouching:
    """The window's patches that are near to a patch of the defect: what they show fails from now on.

    Where parts lie alike, exceptionally near, and within one position of it: judged position by position against all
    other frames of the window, so that a defect which looks like good parts excludes none of them. Where they do not,
    copies of it alone, wherever they are: what else is near to it is what lies as it does.
    """
    patches = np.zeros((window_frames, *factors.shape[1:]), np.bool_)
    frames = np.zeros(window_frames, np.bool_)
    for row in (row for row in defect.rows if row >= window_frames):
        places = np.argwhere(_defective(defect, factors[row]))
        own = projected.take(range(row, row + 1))[0]
        near, near_places = (_near_at_place if aligned else _copies)(own, projected, places, window_frames)
        patches |= near
        frames |= near_places > len(places) / 2
    return Vouching(patches, frames)


def _near_at_place(
    own: Float32[np.ndarray, "p q k"], projected: ProjectedGroups, places: Int64[np.ndarray, "places 2"], count: int
) -> tuple[Bool[np.ndarray, "frames p q"], Int64[np.ndarray, "frames"]]:
    patches, near_places = np.zeros((count, *own.shape[:2]), np.bool_), np.zeros(count, np.int64)
    starts = range(0, count, FRAMES_AT_ONCE)
    window = (projected.take(range(start, min(count, start + FRAMES_AT_ONCE))) for start in starts)
    for around, near in near_patches(own, window, places):
        patches[:, *around] |= near
        near_places += near.any(axis=(1, 2))
    return patches, near_places


def _copies(
    own: Float32[np.ndarray, "p q k"], projected: ProjectedGroups, places: Int64[np.ndarray, "places 2"], count: int
) -> tuple[Bool[np.ndarray, "frames p q"], Int64[np.ndarray, "frames"]]:
    patches, wanted = np.zeros((count, *own.shape[:2]), np.bool_), own[tuple(places.T)]

    def distances(frame: int) -> Float32[np.ndarray, "p q places"]:
        return distances_to_each(projected.take(range(frame, frame + 1))[0], wanted)

    nearest = np.stack([distances(frame).min(axis=(0, 1)) for frame in range(count)])
    limits = COPY_SHARE * np.median(nearest, axis=0)
    near = nearest < limits
    for frame in np.flatnonzero(near.any(axis=1)).tolist():
        patches[frame] = (distances(frame) < limits).any(axis=-1)
    return patches, near.sum(axis=1)


def _defective(defect: Exemplars, factors: Float32[np.ndarray, "p q"]) -> Bool[np.ndarray, "p q"]:
    inside = np.where(defect.cells, factors, np.float32(0))
    return np.asarray(inside >= max(WORST_SHARE * float(inside.max()), float(np.finfo(np.float32).tiny)))
