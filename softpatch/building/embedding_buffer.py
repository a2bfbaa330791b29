"""A window's embeddings during a build: in memory while they are few, in an unnamed temporary file otherwise."""

import os
import tempfile
import weakref
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

MEMORY_BYTES = 512 << 20
"""Embeddings up to this size stay in memory: about 1,100 frames of 784 patches x 152."""


@runtime_checkable
class EmbeddingBuffer(Protocol):
    """Embeddings of the frames appended so far, read back a range at a time."""

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        ...

    def __len__(self) -> int:
        """How many frames were appended."""
        ...

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Add frames behind those that are there."""

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """The embeddings of those frames; read-only."""


class MemoryBuffer:
    """One array, allocated once; a range of it is a view."""

    def __init__(self, frames: int, frame_shape: tuple[int, int, int]) -> None:
        self._rows = np.empty((frames, *frame_shape), np.float32)
        self._count = 0
        self.dimension = frame_shape[-1]

    def __len__(self) -> int:
        return self._count

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Copy the batch in."""
        self._rows[self._count : self._count + len(batch)] = batch
        self._count += len(batch)

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """A view."""
        return self._rows[frames.start : frames.stop : frames.step]


class FileBuffer:
    """One unnamed file, which the system removes with the process; several threads may read it at once."""

    def __init__(self, frame_shape: tuple[int, int, int]) -> None:
        self._shape = frame_shape
        self._count = 0
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._file.close)
        self.dimension = frame_shape[-1]

    def __len__(self) -> int:
        return self._count

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Write the batch at the end of the file."""
        self._file.seek(0, 2)
        remaining = np.ascontiguousarray(batch).data.cast("B")
        while remaining:  # an unbuffered file may write less than it was given
            remaining = remaining[self._file.write(remaining) :]
        self._count += len(batch)

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """Read each frame at its own offset: threads that shared one file position would get each other's frames."""
        out = np.empty((len(frames), *self._shape), np.float32)
        for row, frame in zip(out, frames, strict=True):
            at, remaining = frame * row.nbytes, row.data.cast("B")
            while remaining:
                read = os.preadv(self._file.fileno(), [remaining], at)
                if not read:
                    raise EOFError(f"frame {frame} was never appended")
                at, remaining = at + read, remaining[read:]
        return out


def buffer_for(
    frames: int, frame_shape: tuple[int, int, int], *, memory_bytes: int = MEMORY_BYTES
) -> MemoryBuffer | FileBuffer:
    """A buffer for that many frames of embeddings "p q d"."""
    size_bytes = frames * int(np.prod(frame_shape)) * 4
    return MemoryBuffer(frames, frame_shape) if size_bytes <= memory_bytes else FileBuffer(frame_shape)
