"""What a frame costs on this machine at an input, measured, and how much of it a view's frame rate leaves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from softpatch.building.fitted_bank import SearchMaker
from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.geometry import Geometry
from softpatch.network.embed import Embedder
from softpatch.settings import BuildSettings

AFFORDED_RATIO = 0.5
"""Of the time between two frames, that network and search of one may take: the rest is for decoding, for frames that
come together, for a build beside them."""

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

    Of many frames at once; a frame that comes alone takes longer. 0 where none of the sample can be decoded.
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
    embedder.embed(np.stack(frames[:1]))  # the first run of a size is slower
    began = clock()
    embeddings = embedder.embed(np.stack(frames))
    embedding = clock() - began
    rows = embeddings.reshape(-1, embeddings.shape[-1])
    search = make_search(np.resize(rows, (settings.coreset_cap, rows.shape[1])))
    search.nearest(rows[:1])  # an index is made with the first search
    began = clock()
    search.nearest(rows)
    return (embedding + clock() - began) / len(frames)
