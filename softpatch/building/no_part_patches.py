"""The patches by which frames without a part are told, and how far such frames reach from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.building.coreset import SAMPLERS
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.projection import projection_matrix
from softpatch.scoring.no_part import distance_to
from softpatch.settings import BuildSettings

MOST_FRAMES = 40
"""Frames without a part that are used: spread over the window, and labelled ones."""

MOST_PATCHES = 1000

MARGIN = 1.25
"""How much farther than any of them from the others a new frame without a part may be."""

FEWEST_TO_COMPARE = 3
"""With fewer frames nothing is known of how they differ: the limit is then the bank's threshold."""


@dataclass(frozen=True)
class NoPartPatches:
    """A small bank of frames without a part, and the largest distance of such a frame to it."""

    vectors: Float32[np.ndarray, "m d"]
    limit: float


def no_part_patches(
    embeddings: EmbeddingBuffer,
    rows: Sequence[int],
    settings: BuildSettings,
    *,
    threshold: float,
    make_search: SearchMaker,
) -> NoPartPatches | None:
    """From those frames; None where there are none. Each is held against the patches of the others for the limit."""
    if not rows:
        return None
    chosen = [rows[place] for place in np.linspace(0, len(rows) - 1, min(len(rows), MOST_FRAMES)).round().astype(int)]
    frames = np.stack([embeddings.take(range(row, row + 1))[0] for row in chosen])
    coreset = _coreset(frames, settings)
    if len(frames) < FEWEST_TO_COMPARE:
        return NoPartPatches(coreset, threshold)
    farthest = _farthest(frames, settings, make_search)
    return NoPartPatches(coreset, MARGIN * farthest if farthest else threshold)


def _farthest(frames: Float32[np.ndarray, "n p q d"], settings: BuildSettings, make_search: SearchMaker) -> float:
    """The largest distance of one half of the frames to the patches of the other."""
    halves = (np.arange(len(frames)) % 2 == 0, np.arange(len(frames)) % 2 == 1)
    farthest = 0.0
    for mine, others in (halves, halves[::-1]):
        search = make_search(_coreset(frames[others], settings))
        farthest = max(farthest, *(distance_to(search, each, blur_cells=settings.blur_cells) for each in frames[mine]))
    return farthest


def _coreset(frames: Float32[np.ndarray, "n p q d"], settings: BuildSettings) -> Float32[np.ndarray, "m d"]:
    patches = frames.reshape(-1, frames.shape[-1])
    projected = patches @ projection_matrix(patches.shape[1], settings.projection_dims, seed=settings.seed)
    drawn = SAMPLERS[settings.sampler].draw(projected, min(MOST_PATCHES, len(patches)), seed=settings.seed)
    return np.ascontiguousarray(patches[drawn.picks])
