"""Step 1: a window of encoded frames becomes embeddings, statistics and sketches; broken frames are left out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import astuple, dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.building.embedding_buffer import EmbeddingBuffer, buffer_for
from softpatch.building.progress import BuildProgress
from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.geometry import Geometry
from softpatch.images.statistics import measure
from softpatch.network.embed import Embedder
from softpatch.network.sketch import sketch

BATCH_FRAMES = 16


class TooFewFrames(ValueError):
    """The window holds fewer usable frames than a bank can be built from."""


@dataclass(frozen=True)
class Window:
    """The usable frames of a window, in order.

    `sources[i]` is the place of usable frame i among all frames given. Statistics are those of `images.statistics`,
    measured on the network's input, so that they compare whatever the camera's resolution.
    """

    embeddings: EmbeddingBuffer
    grid: tuple[int, int]
    sources: tuple[int, ...]
    statistics: Float32[np.ndarray, "frames 5"]
    sketches: Float32[np.ndarray, "frames 32"]

    def __len__(self) -> int:
        return len(self.sources)


def read_window(
    frames: Sequence[bytes],
    embedder: Embedder,
    geometry: Geometry,
    *,
    fewest: int,
    max_pixels: int,
    pool: Executor,
    progress: BuildProgress,
) -> Window:
    """Decode, shape and embed every frame that can be decoded, in batches; decoding runs in the pool.

    Raises:
        TooFewFrames: when fewer than `fewest` frames could be decoded.
    """
    embeddings: EmbeddingBuffer | None = None
    grid = (0, 0)
    sources: list[int] = []
    statistics: list[tuple[float, ...]] = []
    sketches: list[Float32[np.ndarray, "32"]] = []
    for read, batch in _usable_batches(frames, geometry, pool, max_pixels=max_pixels):
        embedded = embedder.embed(np.stack([image for _, image in batch]))
        if embeddings is None:
            grid = (embedded.shape[1], embedded.shape[2])
            embeddings = buffer_for(len(frames), (*grid, embedded.shape[3]))
        embeddings.append(embedded)
        sources += [source for source, _ in batch]
        statistics += [astuple(measure(image)) for _, image in batch]
        sketches += [sketch(one, embedder.graph_hash) for one in embedded]
        progress("embed", read, len(frames))
    if embeddings is None or len(sources) < fewest:
        raise TooFewFrames(
            f"{len(sources)} of {len(frames)} frames can be decoded and a bank needs {fewest}: send more frames"
        )
    return Window(embeddings, grid, tuple(sources), np.array(statistics, np.float32), np.stack(sketches))


def _usable_batches(
    frames: Sequence[bytes], geometry: Geometry, pool: Executor, *, max_pixels: int
) -> Iterator[tuple[int, list[tuple[int, UInt8[np.ndarray, "height width 3"]]]]]:
    """How many frames have been read, and the next decodable ones with their places; a bounded number waits decoded."""

    def shaped(place: int) -> UInt8[np.ndarray, "height width 3"] | None:
        try:
            return geometry.apply(decode(frames[place], max_pixels=max_pixels))
        except UndecodableImage:
            return None  # the window does without it; `sources` shows the gap

    places = iter(range(len(frames)))
    waiting = [(place, pool.submit(shaped, place)) for place in islice(places, BATCH_FRAMES)]
    while waiting:
        following = [(place, pool.submit(shaped, place)) for place in islice(places, BATCH_FRAMES)]
        decoded = [(place, future.result()) for place, future in waiting]
        read = waiting[-1][0] + 1
        waiting = following
        if batch := [(place, image) for place, image in decoded if image is not None]:
            yield read, batch
