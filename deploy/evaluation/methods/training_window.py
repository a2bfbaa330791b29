"""What a method learns from: the embeddings of a contaminated window, and its truth for those that may use it."""

from collections.abc import Sequence
from dataclasses import dataclass

from softpatch.building.embedding_buffer import EmbeddingBuffer, MemoryBuffer
from softpatch.images.geometry import Geometry


@dataclass(frozen=True)
class TrainingWindow:
    """The contaminated frames a method learns from; `good` is the truth, which most methods must not use.

    `encoded` are the frames as files hold them, `geometry` is how they became the network's input.
    """

    embeddings: EmbeddingBuffer
    good: tuple[int, ...]
    encoded: tuple[bytes, ...]
    geometry: Geometry

    def only(self, frames: Sequence[int]) -> "TrainingWindow":
        """A window of those frames."""
        good = set(self.good)
        return TrainingWindow(
            taken(self.embeddings, frames),
            tuple(i for i, frame in enumerate(frames) if frame in good),
            tuple(self.encoded[frame] for frame in frames),
            self.geometry,
        )

    def followed_by(self, frames: Sequence[int]) -> EmbeddingBuffer:
        """The embeddings of the window, and behind them those of some of its frames once more."""
        return taken(self.embeddings, [*range(len(self.embeddings)), *frames]) if frames else self.embeddings


def taken(embeddings: EmbeddingBuffer, frames: Sequence[int]) -> EmbeddingBuffer:
    """The embeddings of those frames, in that order."""
    kept = MemoryBuffer(len(frames), embeddings.take(range(1)).shape[1:])
    for frame in frames:
        kept.append(embeddings.take(range(frame, frame + 1)))
    return kept
