"""What a frame costs on this machine at an input, measured, and how much of it a view's frame rate leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.building.fitted_bank import SearchMaker
from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.geometry import Geometry
from softpatch.network.embed import Embedder
from softpatch.settings import BuildSettings

AFFORDED_RATIO = 1 / 3
"""Of the time between two frames, that network and search of one may take: the rest is for decoding, for Kafka's client
and whatever else runs on these cores, for frames that come together, for a build beside them."""

MEASURED_FRAMES = 4


@dataclass(frozen=True)
class Pace:
    """How fast a view's frames come (None: not known), and the seconds that work has taken all cores of this machine.

    `clock` only ever grows: CPU seconds over the number of cores, or seconds by the wall where a GPU does the work.
    """

    frames_per_second: float | None
    clock: Callable[[], float]


def frame_seconds(
    sample: Sequence[bytes],
    embedder: Embedder,
    geometry: Geometry,
    settings: BuildSettings,
    *,
    clock: Callable[[], float],
    max_pixels: int,
    make_search: SearchMaker,
) -> float:
    """Seconds in which the machine embeds a frame and searches a bank of `settings.coreset_cap` patches, by the clock.

    Of a frame that comes alone, as a line's own do: one of many at once takes less. It is searched as the inspection
    does, for two frames where the score asks for both. 0 where none of the sample can be decoded.
    """
    frames = []
    for encoded in sample[: 4 * MEASURED_FRAMES]:
        try:
            frames.append(geometry.apply(decode(encoded, max_pixels=max_pixels)))
        except UndecodableImage:
            continue
        if len(frames) == MEASURED_FRAMES:
            break
    if not frames:
        return 0.0
    rows = _patches(embedder, frames[0])  # the first run of a size is slower
    search = make_search(np.resize(rows, (settings.coreset_cap, rows.shape[1])))
    frame_of_row = (np.arange(settings.coreset_cap) // len(rows)).astype(np.int32)
    search.nearest(rows[:1])  # an index is made with the first search
    began = clock()
    for frame in frames:
        rows = _patches(embedder, frame)
        if settings.second_frame_ratio:
            search.nearest_two_frames(rows, frame_of_row)
        else:
            search.nearest(rows)
    return (clock() - began) / len(frames)


def _patches(embedder: Embedder, frame: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, "n d"]:
    embedding = embedder.embed(frame[None])
    return embedding.reshape(-1, embedding.shape[-1])
