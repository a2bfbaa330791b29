"""Patches that a coreset picked, with their full embeddings."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32

from softpatch.building.candidates import Candidates
from softpatch.building.denoise import NoiseMask
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.scoring.score import in_metric


@dataclass(frozen=True)
class Patches:
    """Picked patches; row i of every array is the same patch. `confirmed` ones are of frames a person called good.

    `second_frame_within`: at that distance lie patches of other frames, picked or not, of two blocks of time; infinite
    where none are known to.
    """

    vectors: Float32[np.ndarray, "m d"]
    factors: Float32[np.ndarray, "m"]
    frame: Int32[np.ndarray, "m"]
    position: Int16[np.ndarray, "m 2"]
    confirmed: Bool[np.ndarray, "m"]
    second_frame_within: Float32[np.ndarray, "m"]

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, which: Bool[np.ndarray, "m"]) -> "Patches":
        """Those patches, in order."""
        fields = (self.vectors, self.factors, self.frame, self.position, self.confirmed, self.second_frame_within)
        return Patches(*(each[which] for each in fields))


def read_patches(
    embeddings: EmbeddingBuffer,
    mask: NoiseMask,
    picks: Candidates,
    second_frame_within: Float32[np.ndarray, "m"],
) -> Patches:
    """The full embeddings, by the mask's metric, and outlier factors of candidates that were picked."""
    vectors = np.empty((len(picks.frame), embeddings.dimension), np.float32)
    for frame in np.unique(picks.frame).tolist():  # once each: it may lie in a file
        of_frame = np.flatnonzero(picks.frame == frame)
        row, column = picks.position[of_frame].astype(np.int64).T
        vectors[of_frame] = embeddings.take(range(frame, frame + 1))[0][row, column]
    row, column = picks.position.astype(np.int64).T
    confirmed = np.zeros(len(row), np.bool_)
    if mask.labels is not None:
        confirmed = mask.labels.confirmed[picks.frame, row, column]
    factors = mask.factors[picks.frame, row, column]
    return Patches(
        in_metric(vectors, mask.metric), factors, picks.frame, picks.position, confirmed, second_frame_within
    )
