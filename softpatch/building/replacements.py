"""What the coresets would have picked instead, had they not seen a block of time."""

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from jaxtyping import Float32

from softpatch.building.candidates import Candidates
from softpatch.building.coreset import SAMPLERS, LostPicks
from softpatch.building.denoise import NoiseMask
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.patches import Patches, read_patches
from softpatch.building.progress import StageProgress
from softpatch.building.second_frames import second_frames_of_refill, vouched_within
from softpatch.building.subsample import DrawnCoreset
from softpatch.settings import BuildSettings

Replacements = tuple[Patches, ...]
"""Per coreset, what replaces its picks of one block."""


def draw_replacements(
    blocks: Sequence[range],
    embeddings: EmbeddingBuffer,
    mask: NoiseMask,
    coresets: Sequence[DrawnCoreset],
    *,
    settings: BuildSettings,
    pool: Executor,
    progress: StageProgress,
) -> list[Replacements]:
    """For each block, what replaces its patches in the bank.

    A bank drawn anew without the block would differ from the final one everywhere, by several percent of a score.
    """

    def of_block(block: range) -> Replacements:
        refills = [refill(drawn, block, blocks, settings) for drawn in coresets]
        return tuple(read_patches(embeddings, mask, *each) for each in refills)

    drawn: list[Replacements] = []
    for replacements in pool.map(of_block, blocks):
        drawn.append(replacements)
        progress(len(drawn), len(blocks))
    return drawn


def refill(
    drawn: DrawnCoreset, block: range, blocks: Sequence[range], settings: BuildSettings
) -> tuple[Candidates, Float32[np.ndarray, "refills"]]:
    """What replaces the picks of a block: of the other blocks' patches, some of those whose nearest pick is gone.

    And within what distance other frames vouch for each of them, by the patches that had the same pick.
    """
    frame, nearest = drawn.candidates.frame, drawn.coreset.nearest
    inside = (frame >= block.start) & (frame < block.stop)
    gone = inside[drawn.coreset.picks]
    uncovered = np.flatnonzero(gone[nearest] & ~inside)
    projected = drawn.candidates.projected
    loss = LostPicks(projected[drawn.coreset.picks], gone, projected[uncovered], nearest[uncovered])
    refills = SAMPLERS[settings.sampler].refill(loss, seed=settings.seed)
    of = drawn.candidates.rows(uncovered)
    within = vouched_within(second_frames_of_refill(of, refills, loss.nearest, blocks))
    return of.rows(refills), within
