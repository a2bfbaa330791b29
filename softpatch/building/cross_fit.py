"""Cross-fitted scores: what every frame of the window scores against the bank as if it had never seen its time."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32

from softpatch.building.candidate import SearchMaker, scorer_of
from softpatch.building.denoise import NoiseMask
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.subsample import Patches, Subsample, joined
from softpatch.scoring.score import Scorer
from softpatch.settings import BuildSettings

_FRAMES_AT_ONCE = 16


def cross_fit(
    embeddings: EmbeddingBuffer,
    judged: NoiseMask,
    condensed: Subsample,
    settings: BuildSettings,
    *,
    make_search: SearchMaker,
    progress: Callable[[int, int], None],
) -> Float32[np.ndarray, "frames"]:
    """One score per frame: each block of time is scored by the final bank as it would be without that block.

    Outlier factors are not computed anew without the block: they only decide which patches enter, and one block's
    frames move the factors of the others far less than they move distances.
    """
    scores = []
    for number, block in enumerate(condensed.blocks):
        scorer = scorer_of(unseen(condensed, number), judged, settings, make_search)
        scores.append(frame_scores(embeddings, block, scorer))
        progress(number + 1, len(condensed.blocks))
    return np.concatenate(scores)


def unseen(condensed: Subsample, number: int) -> Patches:
    """The final bank as it would be had it never seen that block."""
    block, frame = condensed.blocks[number], condensed.bank.frame
    left = condensed.bank.rows((frame < block.start) | (frame >= block.stop))
    return joined([left, condensed.refills[number]])


def frame_scores(embeddings: EmbeddingBuffer, frames: range, scorer: Scorer) -> Float32[np.ndarray, "frames"]:
    """The anomaly score of each of those frames."""
    batches = [frames[start : start + _FRAMES_AT_ONCE] for start in range(0, len(frames), _FRAMES_AT_ONCE)]
    found = [score.score for batch in batches for score in scorer.score(embeddings.take(batch))]
    return np.array(found, np.float32)
