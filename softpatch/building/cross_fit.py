"""Step 4: cross-fitting, what each frame scores against the bank as it would be without that block of time."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import FittedBank, SearchMaker, fitted_bank
from softpatch.building.progress import BuildProgress, silent
from softpatch.building.second_frames import vouched_within

_FRAMES_AT_ONCE = 16


def cross_fit(
    embeddings: EmbeddingBuffer, fitted: Fit, *, make_search: SearchMaker, progress: BuildProgress = silent
) -> Float32[np.ndarray, "frames p q"]:
    """The patch scores of each frame of the fit's blocks: comparable with what the final bank scores frames to come.

    Outlier factors are not computed anew without the block: they only decide which patches enter, and one block's
    frames move the factors of the others far less than they move distances.
    """
    scores: list[Float32[np.ndarray, "p q"]] = []
    for number, block in enumerate(fitted.blocks):
        scorer = bank_without(number, fitted).scorer(make_search)
        for start in range(0, len(block), _FRAMES_AT_ONCE):
            batch = embeddings.take(block[start : start + _FRAMES_AT_ONCE])
            scores += [frame.patch_scores for frame in scorer.score(batch)]
        progress("calibrate", number + 1, len(fitted.blocks))
    return np.array(scores, np.float32)


def bank_without(number: int, fitted: Fit) -> FittedBank:
    """The final bank without the patches of that block, and with what replaces them; its position weights, if any."""
    block = fitted.blocks[number]
    parts = []
    for patches, second, new in zip(fitted.coresets, fitted.second_frames, fitted.replacements[number], strict=True):
        outside = replace(patches, second_frame_within=vouched_within(np.delete(second, number, axis=1)))
        left = outside.rows((patches.frame < block.start) | (patches.frame >= block.stop))
        parts.append([left, new])
    bank = fitted_bank(parts, fitted.mask, fitted.settings)
    return replace(bank, position_weights=fitted.bank.position_weights)
