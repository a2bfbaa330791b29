"""The final bank as it would be had it not seen a block of time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

import numpy as np

from softpatch.building.candidates import Candidates
from softpatch.building.coreset import SAMPLERS, LostPicks
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import FittedBank, fitted_bank
from softpatch.building.patches import Patches, join, read_patches
from softpatch.building.subsample import DrawnCoreset
from softpatch.settings import BuildSettings


def banks_without(
    blocks: Sequence[range], embeddings: EmbeddingBuffer, fitted: Fit, pool: Executor
) -> Iterator[FittedBank]:
    """For each block the final bank without its patches, and with what the coresets would have picked instead.

    A bank drawn anew would differ from the final one everywhere, by several percent of a score.
    """

    def without(block: range) -> FittedBank:
        left = [outside(drawn.patches, block) for drawn in fitted.sample.coresets]
        refills = [refill(drawn, block, fitted.settings) for drawn in fitted.sample.coresets]
        new = [read_patches(embeddings, fitted.mask, picks) for picks in refills]
        patches = join([part for both in zip(left, new, strict=True) for part in both])
        return fitted_bank(patches, len(left[0]) + len(new[0]), fitted.mask, fitted.settings)

    return pool.map(without, blocks)


def outside(patches: Patches, block: range) -> Patches:
    """The patches that are not of the block."""
    return patches.rows((patches.frame < block.start) | (patches.frame >= block.stop))


def refill(drawn: DrawnCoreset, block: range, settings: BuildSettings) -> Candidates:
    """What replaces the picks of a block: of the other blocks' patches, some of those whose nearest pick is gone."""
    frame, nearest = drawn.candidates.frame, drawn.coreset.nearest
    inside = (frame >= block.start) & (frame < block.stop)
    gone = inside[drawn.coreset.picks]
    uncovered = np.flatnonzero(gone[nearest] & ~inside)
    projected = drawn.candidates.projected
    loss = LostPicks(projected[drawn.coreset.picks], gone, projected[uncovered], nearest[uncovered])
    return drawn.candidates.rows(uncovered[SAMPLERS[settings.sampler].refill(loss, seed=settings.seed)])
