"""How a window's frames are read: the bits that their samples use, and which parts of them are inspected."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softpatch.building.labels import LabelledFrames
from softpatch.images.decode import FULL_DEPTH, UndecodableImage, largest_sample, least_depth
from softpatch.images.geometry import FrameGeometry, Geometry
from softpatch.images.header import read_header
from softpatch.images.regions import InspectedRegions
from softpatch.settings import BuildSettings

DEPTH_SAMPLE = 64
"""Frames of the window that tell the depth."""


@dataclass(frozen=True)
class FrameReading:
    """What is the same for every candidate of a view's input."""

    bit_depth: int = FULL_DEPTH
    regions: InspectedRegions | None = None

    def of(self, geometry: Geometry) -> FrameGeometry:
        """That geometry, with frames read so."""
        return FrameGeometry.of(geometry, bit_depth=self.bit_depth, regions=self.regions)


WHOLE_FRAMES = FrameReading()


def frame_reading(
    frames: Sequence[bytes],
    settings: BuildSettings,
    labels: Sequence[LabelledFrames],
    *,
    earlier_depth: int | None,
) -> FrameReading:
    """By the settings, and by the frames where those leave it to them.

    A place that a person said to ignore is a region to ignore as any other. `earlier_depth` is that of the parent bank:
    a window that happens to be darker does not make the picture of the same part brighter.
    """
    sample = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(DEPTH_SAMPLE, len(frames)))]
    depth = settings.bit_depth
    return FrameReading(
        bit_depth=depth if depth != "auto" else _depth_of(sample, earlier_depth),
        regions=_regions_of(settings.regions, labels, sample),
    )


def _depth_of(sample: Sequence[bytes], earlier: int | None) -> int:
    """The least depth that holds the largest sample of all; full for frames of 8 bits, which have no other."""
    largest = [value for value in map(_largest, sample) if value is not None]
    if not largest:
        return earlier or FULL_DEPTH
    found = least_depth(max(largest))
    return found if earlier is None or earlier == FULL_DEPTH else max(found, earlier)


def _largest(encoded: bytes) -> int | None:
    try:
        return largest_sample(encoded)
    except UndecodableImage:
        return None


def _regions_of(
    given: InspectedRegions, labels: Sequence[LabelledFrames], sample: Sequence[bytes]
) -> InspectedRegions | None:
    boxes = [each.box_xyxy for each in labels if each.label == "ignore" and each.box_xyxy is not None]
    if not given and not boxes:
        return None
    width, height = frame_wh = given.frame_wh or _usual_size(sample)
    said = tuple(
        tuple((x * width, y * height) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))) for x0, y0, x1, y1 in boxes
    )
    return InspectedRegions(inspect=given.inspect, ignore=(*given.ignore, *said), frame_wh=frame_wh)


def _usual_size(sample: Sequence[bytes]) -> tuple[int, int]:
    """Of most frames, in pixels; where none can be read, the build ends for that reason."""
    sizes: Counter[tuple[int, int]] = Counter()
    for encoded in sample:
        try:
            header = read_header(encoded)
        except UndecodableImage:
            continue
        sizes[header.width_px, header.height_px] += 1
    return sizes.most_common(1)[0][0] if sizes else (1, 1)
