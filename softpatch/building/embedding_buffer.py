"""Where a window's embeddings wait: in memory while they are few, in an unnamed temporary file once they are many."""

import os
import tempfile
import weakref
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

MEMORY_BYTES = 512 << 20
"""Embeddings up to here stay in memory: about 1,100 frames of 784 patches x 152."""


@runtime_checkable
class EmbeddingBuffer(Protocol):
    """Embeddings of the frames appended so far, read back a range at a time."""

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Keep some more frames."""

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """Those frames, not to be written to."""


class MemoryBuffer:
    """One array, allocated once; a range of it is a view."""

    def __init__(self, frames: int, frame_shape: tuple[int, int, int]) -> None:
        self._rows = np.empty((frames, *frame_shape), np.float32)
        self._count = 0

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Copy them in."""
        self._rows[self._count : self._count + len(batch)] = batch
        self._count += len(batch)

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """A view."""
        return self._rows[frames.start : frames.stop : frames.step]


class FileBuffer:
    """One file without a name, gone with the process however it ends; any threads may read it side by side."""

    def __init__(self, frame_shape: tuple[int, int, int]) -> None:
        self._shape = frame_shape
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._file.close)

    def append(self, batch: Float32[np.ndarray, "n p q d"]) -> None:
        """Write them behind the others."""
        self._file.seek(0, 2)
        remaining = np.ascontiguousarray(batch).data.cast("B")
        while remaining:  # an unbuffered file may write less than it was given
            remaining = remaining[self._file.write(remaining) :]

    def take(self, frames: range) -> Float32[np.ndarray, "n p q d"]:
        """Read each from its own place: threads that shared one file position would get each other's frames."""
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
    """A place for that many frames of embeddings "p q d"."""
    size_bytes = frames * int(np.prod(frame_shape)) * 4
    return MemoryBuffer(frames, frame_shape) if size_bytes <= memory_bytes else FileBuffer(frame_shape)
