"""Which inputs a view's frames could be looked at by: sizes that fit their aspect ratio, and feature sets."""

from collections.abc import Sequence

import numpy as np

from softpatch.building.window import TooFewFrames
from softpatch.images.geometry import Geometry
from softpatch.images.header import UndecodableImage, read_header
from softpatch.network.embed import Embedder
from softpatch.settings import BuildSettings

FINE_STRIDE_PX = 8
"""Features at this stride are not tried, unless the settings name them: their input has a quarter of the pixels of the
others, so that the grids are alike. Taken by trial, on ball screws at 288 x 160 px, they found less than the others."""

SEEN_PX = 8
"""Of the input, that the smallest defect asked for has to be long."""

LARGEST_SQUASH = 1.5
"""By how much a frame's aspect ratio may change."""

LARGEST_PX = 2048 * 2048
"""Of an input whose size follows from the smallest defect."""


def typical_size(frames: Sequence[bytes]) -> tuple[int, int]:
    """Median width and height of these frames, in pixels; raises TooFewFrames where none can be read."""
    sizes = []
    for frame in frames:
        try:
            header = read_header(frame)
        except UndecodableImage:
            continue
        sizes.append((header.width_px, header.height_px))
    if not sizes:
        raise TooFewFrames(f"none of {len(frames)} frames can be read: send more frames")
    width, height = np.median(sizes, axis=0)
    return int(width), int(height)


def input_candidates(
    size_wh: tuple[int, int], embedder: Embedder, settings: BuildSettings
) -> list[tuple[Geometry, str]]:
    """The inputs to try for frames of that size, in the order of the network's feature sets: the widest last."""
    strides = {name: each.stride_px for name, each in embedder.feature_sets.items()}
    coarse = [name for name, stride in strides.items() if stride > FINE_STRIDE_PX]
    names = [embedder.with_features(settings.features).features] if settings.features != "auto" else coarse
    found = []
    for features in names or strides:
        stride = strides[features]
        if settings.smallest_defect_mm is not None and settings.field_of_view_mm is not None:
            defect_px = settings.smallest_defect_mm / settings.field_of_view_mm * size_wh[0]
            area = min(size_wh[0] * size_wh[1] * min(1.0, SEEN_PX / defect_px) ** 2, LARGEST_PX)
        else:
            area = float(settings.most_input_px)
        pixels = area / 4 if stride <= FINE_STRIDE_PX else area
        found.append((shaped_input(size_wh, pixels, multiple_px=embedder.input_multiple_px), features))
    return found


def shaped_input(size_wh: tuple[int, int], area_px: float, *, multiple_px: int) -> Geometry:
    """An input of about that many pixels for frames of that size, its aspect ratio as near to 1 as may be.

    A square input has the fewest patches along the border; a frame is squashed by `LARGEST_SQUASH` at most.
    """
    aspect = size_wh[0] / size_wh[1]
    shape = max(aspect / LARGEST_SQUASH, 1.0) if aspect >= 1 else min(aspect * LARGEST_SQUASH, 1.0)
    width, height = (
        max(1, round(side / multiple_px)) * multiple_px for side in (np.sqrt(area_px * shape), np.sqrt(area_px / shape))
    )
    return Geometry(mode="squash", height_px=height, width_px=width)
