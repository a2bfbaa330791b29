"""What a method learns from: the embeddings of a contaminated window, and its truth for those that may use it."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from softpatch.building.embedding_buffer import EmbeddingBuffer, MemoryBuffer
from softpatch.building.frame_reading import WHOLE_FRAMES
from softpatch.building.progress import silent
from softpatch.building.upright_frames import UprightFrames, upright_frames
from softpatch.images.decode import MAX_PIXELS
from softpatch.images.geometry import Geometry
from softpatch.network.embed import Embedder


@dataclass(frozen=True)
class TrainingWindow:
    """The contaminated frames a method learns from; `good` is the truth, which most methods must not use.

    `encoded` are the frames as files hold them, `geometry` is how they became the network's input, by `embedder`: None
    where its frames cannot be read once more.
    """

    embeddings: EmbeddingBuffer
    good: tuple[int, ...]
    encoded: tuple[bytes, ...]
    geometry: Geometry
    embedder: Embedder | None = None

    def only(self, frames: Sequence[int]) -> "TrainingWindow":
        """A window of those frames."""
        good = set(self.good)
        return TrainingWindow(
            taken(self.embeddings, frames),
            tuple(i for i, frame in enumerate(frames) if frame in good),
            tuple(self.encoded[frame] for frame in frames),
            self.geometry,
            self.embedder,
        )

    def followed_by(self, frames: Sequence[int]) -> EmbeddingBuffer:
        """The embeddings of the window, and behind them those of some of its frames once more."""
        return taken(self.embeddings, [*range(len(self.embeddings)), *frames]) if frames else self.embeddings

    def upright(self, frames: Sequence[bytes], pool: Executor) -> UprightFrames | None:
        """Those encoded frames with all parts turned alike, as a build reads them where they lie turned."""
        if self.embedder is None:
            return None
        rows, columns = self.embeddings.take(range(1)).shape[1:3]
        return upright_frames(
            frames,
            WHOLE_FRAMES.of(self.geometry),
            self.embedder,
            grid=(rows, columns),
            max_pixels=MAX_PIXELS,
            pool=pool,
            progress=partial(silent, "upright"),
        )


def taken(embeddings: EmbeddingBuffer, frames: Sequence[int]) -> EmbeddingBuffer:
    """The embeddings of those frames, in that order."""
    kept = MemoryBuffer(len(frames), embeddings.take(range(1)).shape[1:])
    for frame in frames:
        kept.append(embeddings.take(range(frame, frame + 1)))
    return kept
