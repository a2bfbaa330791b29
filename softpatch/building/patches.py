"""Patches that a coreset picked, with their full embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32

from softpatch.building.candidates import Candidates
from softpatch.building.denoise import NoiseMask
from softpatch.building.embedding_buffer import EmbeddingBuffer


@dataclass(frozen=True)
class Patches:
    """Picked patches; row i of every array is the same patch."""

    vectors: Float32[np.ndarray, "m d"]
    factors: Float32[np.ndarray, "m"]
    frame: Int32[np.ndarray, "m"]
    position: Int16[np.ndarray, "m 2"]

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, which: Bool[np.ndarray, "m"]) -> "Patches":
        """Those patches, in order."""
        return Patches(self.vectors[which], self.factors[which], self.frame[which], self.position[which])


def read_patches(embeddings: EmbeddingBuffer, mask: NoiseMask, picks: Candidates) -> Patches:
    """The full embeddings and outlier factors of candidates that were picked."""
    vectors = np.empty((len(picks.frame), embeddings.dimension), np.float32)
    for vector, frame, (row, column) in zip(vectors, picks.frame.tolist(), picks.position, strict=True):
        vector[:] = embeddings.take(range(frame, frame + 1))[0, row, column]
    row, column = picks.position.astype(np.int64).T
    return Patches(vectors, mask.factors[picks.frame, row, column], picks.frame, picks.position)


def join(parts: Sequence[Patches]) -> Patches:
    """All of them, in order."""
    return Patches(
        vectors=np.concatenate([part.vectors for part in parts]),
        factors=np.concatenate([part.factors for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )
