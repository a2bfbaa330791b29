"""How the frames of a window score by a bank that was there before: the one in force, or a reference."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32

from softpatch.bank import Bank
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.scoring.no_part import NoPartCheck
from softpatch.scoring.score import FrameScore, Scorer
from softpatch.scoring.search import Search

WORST_PATCHES = 8
"""Patches of a failing frame that are kept, the worst first: enough to say what it fails for."""

_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class PriorBank:
    """A bank that was there before, and the threshold by which it decides."""

    bank: Bank
    version: str
    threshold: float


@dataclass(frozen=True)
class PriorScores:
    """What a bank says of every frame of a window, in their order.

    `ratios` are scores over the threshold. `fails` leaves out frames in which there is no part. The last three are the
    worst patches above the threshold of the failing frames, frame by frame: its number, grid position and embedding.
    """

    prior: PriorBank
    ratios: Float32[np.ndarray, "n"]
    fails: Bool[np.ndarray, "n"]
    patch_frame: Int32[np.ndarray, "k"]
    patch_position: Int16[np.ndarray, "k 2"]
    patch_vectors: Float32[np.ndarray, "k d"]


def prior_scores(
    prior: PriorBank, embeddings: EmbeddingBuffer, make_search: Callable[[np.ndarray], Search]
) -> PriorScores:
    """Score all frames; `embeddings` are of the bank's own input and features."""
    scorer, no_part = Scorer(prior.bank, make_search(prior.bank.vectors)), NoPartCheck.of(prior.bank, make_search)
    ratios, fails = np.zeros(len(embeddings), np.float32), np.zeros(len(embeddings), np.bool_)
    frames: list[int] = []
    positions: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    for start in range(0, len(embeddings), _FRAMES_AT_ONCE):
        batch = embeddings.take(range(start, min(start + _FRAMES_AT_ONCE, len(embeddings))))
        for row, (scored, embedding) in enumerate(zip(scorer.score(batch), batch, strict=True), start):
            ratios[row] = scored.score / prior.threshold
            if not scored.score > prior.threshold or (no_part is not None and no_part.shows_no_part(embedding)):
                continue
            fails[row] = True
            worst = _worst(scored, prior.threshold)
            frames += [row] * len(worst)
            positions.append(worst)
            vectors.append(embedding[tuple(worst.T)])
    dimension = embeddings.dimension
    return PriorScores(
        prior=prior,
        ratios=ratios,
        fails=fails,
        patch_frame=np.array(frames, np.int32),
        patch_position=np.concatenate([np.empty((0, 2), np.int16), *positions]).astype(np.int16),
        patch_vectors=np.concatenate([np.empty((0, dimension), np.float32), *vectors]).astype(np.float32),
    )


def _worst(scored: FrameScore, threshold: float) -> np.ndarray:
    """Grid positions of the patches above the threshold, the worst first."""
    above = np.argwhere(scored.patch_scores > threshold)
    order = np.argsort(-scored.patch_scores[tuple(above.T)], kind="stable")
    return np.asarray(above[order][:WORST_PATCHES])
