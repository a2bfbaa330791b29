"""Step 4: cross-fitted scores, what each frame scores against the bank as it would be without that block of time."""

from concurrent.futures import Executor

import numpy as np
from jaxtyping import Float32

from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fit import Fit
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.leave_out import banks_without
from softpatch.building.progress import BuildProgress, silent

_FRAMES_AT_ONCE = 16


def cross_fit(
    embeddings: EmbeddingBuffer,
    fitted: Fit,
    pool: Executor,
    *,
    make_search: SearchMaker,
    progress: BuildProgress = silent,
) -> Float32[np.ndarray, "frames"]:
    """One score per frame of the window: comparable with what the final bank scores frames to come.

    Outlier factors are not computed anew without the block: they only decide which patches enter, and one block's
    frames move the factors of the others far less than they move distances.
    """
    blocks = calibration_blocks(len(embeddings), fitted.settings.calibration_blocks)
    scores: list[float] = []
    for done, (block, bank) in enumerate(zip(blocks, banks_without(blocks, embeddings, fitted, pool), strict=True), 1):
        scorer = bank.scorer(make_search)
        for start in range(0, len(block), _FRAMES_AT_ONCE):
            batch = embeddings.take(block[start : start + _FRAMES_AT_ONCE])
            scores += [frame.score for frame in scorer.score(batch)]
        progress("calibrate", done, len(blocks))
    return np.array(scores, np.float32)
