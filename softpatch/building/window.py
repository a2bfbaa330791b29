"""Step 1: a window of encoded frames becomes embeddings, statistics and sketches; broken frames are left out."""

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import astuple, dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.building.embedding_buffer import EmbeddingBuffer, buffer_for
from softpatch.building.progress import BuildProgress
from softpatch.images.decode import UndecodableImage
from softpatch.images.geometry import FrameGeometry
from softpatch.images.statistics import measure
from softpatch.network.embed import Embedder
from softpatch.network.sketch import sketch

BATCH_FRAMES = 16

T = TypeVar("T")
R = TypeVar("R")


class TooFewFrames(ValueError):
    """The window holds fewer usable frames than a bank can be built from."""


@dataclass(frozen=True)
class UsableFrames:
    """Which frames of a window are usable, in order, and what they are.

    `sources[i]` is the place of usable frame i among all frames given. `digests` are of the encoded frames, `sizes_wh`
    their sizes in pixels as they came. The first `given_frames` of all frames are the window's.
    """

    sources: tuple[int, ...]
    digests: tuple[bytes, ...]
    sizes_wh: tuple[tuple[int, int], ...]
    given_frames: int

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def frame_wh(self) -> tuple[int, int]:
        """The size in pixels that most of the window's frames have."""
        return Counter(self.sizes_wh[: self.window_frames]).most_common(1)[0][0]

    @property
    def window_frames(self) -> int:
        """The usable frames of the window itself, which come first; labelled ones are behind them."""
        return bisect_left(self.sources, self.given_frames)


@dataclass(frozen=True)
class Window:
    """The usable frames of a window, embedded.

    Statistics are those of `images.statistics`, measured on the network's input, so that they compare whatever the
    camera's resolution.
    """

    frames: UsableFrames
    embeddings: EmbeddingBuffer
    grid: tuple[int, int]
    statistics: Float32[np.ndarray, "frames 5"]
    sketches: Float32[np.ndarray, "frames 32"]


def read_window(
    frames: Sequence[bytes],
    embedder: Embedder,
    geometry: FrameGeometry,
    *,
    labelled: Sequence[bytes] = (),
    fewest: int,
    max_pixels: int,
    pool: Executor,
    progress: BuildProgress,
) -> Window:
    """Decode, shape and embed every frame that can be decoded, in batches; decoding runs in the pool.

    `labelled` frames are read behind those of the window.

    Raises:
        TooFewFrames: when fewer than `fewest` frames of the window could be decoded.
    """
    count = len(frames) + len(labelled)
    embeddings: EmbeddingBuffer | None = None
    usable: list[tuple[int, bytes, tuple[int, int]]] = []
    statistics: list[tuple[float, ...]] = []
    sketches: list[Float32[np.ndarray, "32"]] = []
    for read, batch in _usable_batches(frames, labelled, geometry, pool, max_pixels=max_pixels):
        embedded = embedder.embed(np.stack([each.image for each in batch]))
        if embeddings is None:
            embeddings = buffer_for(count, embedded.shape[1:])
        embeddings.append(embedded)
        usable += [(each.source, each.digest, each.frame_wh) for each in batch]
        statistics += [astuple(measure(each.image, geometry.inspected(each.frame_wh))) for each in batch]
        sketches += [sketch(one, embedder.graph_hash) for one in embedded]
        progress("embed", read, count)
    of_window = sum(source < len(frames) for source, _, _ in usable)
    if embeddings is None or of_window < fewest:
        raise TooFewFrames(
            f"{of_window} of {len(frames)} frames can be decoded and a bank needs {fewest}: send more frames"
        )
    return Window(
        frames=UsableFrames(
            sources=tuple(source for source, _, _ in usable),
            digests=tuple(digest for _, digest, _ in usable),
            sizes_wh=tuple(size for _, _, size in usable),
            given_frames=len(frames),
        ),
        embeddings=embeddings,
        grid=embedded.shape[1:3],
        statistics=np.array(statistics, np.float32),
        sketches=np.stack(sketches),
    )


@dataclass(frozen=True)
class _Usable:
    """A decoded frame: its place among all frames, digest of its bytes, size as it came, and the network's input."""

    source: int
    digest: bytes
    frame_wh: tuple[int, int]
    image: UInt8[np.ndarray, "height width 3"]


def _usable_batches(
    frames: Sequence[bytes], labelled: Sequence[bytes], geometry: FrameGeometry, pool: Executor, *, max_pixels: int
) -> Iterator[tuple[int, list[_Usable]]]:
    """How many frames have been read, and the next decodable ones; a bounded number waits decoded."""

    def shaped(place: int) -> _Usable | None:
        encoded = frames[place] if place < len(frames) else labelled[place - len(frames)]
        try:
            image = geometry.decode(encoded, max_pixels=max_pixels)
        except UndecodableImage:
            return None  # the window does without it; `sources` shows the gap
        size_wh = (image.shape[1], image.shape[0])
        return _Usable(place, hashlib.sha256(encoded).digest(), size_wh, geometry.apply(image))

    read = 0
    for decoded in in_batches(range(len(frames) + len(labelled)), shaped, pool):
        read += len(decoded)
        if batch := [each for each in decoded if each is not None]:
            yield read, batch


def in_batches(of: Iterable[T], make: Callable[[T], R], pool: Executor) -> Iterator[list[R]]:
    """What is made of each in the pool, in order, `BATCH_FRAMES` at once; as many wait made."""
    left = iter(of)
    waiting = [pool.submit(make, each) for each in islice(left, BATCH_FRAMES)]
    while waiting:
        following = [pool.submit(make, each) for each in islice(left, BATCH_FRAMES)]
        made, waiting = [future.result() for future in waiting], following
        yield made
