"""Which parts of a frame are inspected: polygons that people draw on a picture of the view."""

from functools import lru_cache
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import UInt8
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt

Corner = tuple[float, float]
"""x, y in pixels of the frame, from its upper left corner."""

_SUBPIXEL_BITS = 4
"""Corners are drawn to a sixteenth of a pixel."""

LARGEST_COORDINATE = 1e6
"""Of a corner, in pixels: more is a slip of the pen, and too much for a drawing routine."""


FEWEST_CORNERS = 3


def _with_area(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    if len(corners) < FEWEST_CORNERS:
        raise ValueError(f"a region has at least three corners, each [x, y], and this one has {len(corners)}")
    if max(abs(side) for corner in corners for side in corner) > LARGEST_COORDINATE:
        raise ValueError(f"a corner lies more than {LARGEST_COORDINATE:.0f} px away")
    if cv2.contourArea(np.array(corners, np.float32)) == 0:
        raise ValueError("the corners of a region lie on one line; give at least three that enclose something")
    return corners


Polygon = Annotated[tuple[Corner, ...], AfterValidator(_with_area)]


class InspectedRegions(BaseModel):
    """Polygons of a view's frames: what is inspected (all of it where none is given), less what is ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    inspect: tuple[Polygon, ...] = Field(
        default=(), description="What lies in none of these is ignored; none: the whole frame is inspected."
    )
    ignore: tuple[Polygon, ...] = Field(default=(), description="What lies in one of these is ignored.")
    frame_wh: tuple[PositiveInt, PositiveInt] | None = Field(
        default=None,
        description="Width and height of the frames that the corners are given for; without it, of most of the window.",
    )

    def __bool__(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.inspect or self.ignore)

    def outside(self, frame_wh: tuple[int, int]) -> list[str]:
        """A sentence for every polygon that lies beyond frames of this size: that part of it counts for nothing."""
        width, height = self.frame_wh or frame_wh
        return [
            f"regions.{name}[{number}] reaches beyond the frame of {width} x {height} px, and is cut off there"
            for name in ("inspect", "ignore")
            for number, corners in enumerate(getattr(self, name))
            if any(not (0 <= x <= width and 0 <= y <= height) for x, y in corners)
        ]

    def mask(
        self,
        size_wh: tuple[int, int],
        *,
        scale_xy: tuple[float, float] = (1.0, 1.0),
        offset_xy: tuple[float, float] = (0.0, 0.0),
    ) -> UInt8[np.ndarray, "h w"]:
        """1 where a picture of this size is inspected, else 0, not to be changed; corners are scaled, then moved."""
        return _mask(self, size_wh, scale_xy, offset_xy)

    def outlines(self, frame_wh: tuple[int, int], size_wh: tuple[int, int]) -> list[tuple[bool, np.ndarray]]:
        """Each polygon on a picture of this size of such a frame: whether it is inspected, and its corners (int32)."""
        width, height = self.frame_wh or frame_wh
        scale = np.array([size_wh[0] / width, size_wh[1] / height])
        return [
            (inspected, np.rint(np.array(corners) * scale).astype(np.int32))
            for inspected, polygons in ((True, self.inspect), (False, self.ignore))
            for corners in polygons
        ]


@lru_cache(maxsize=256)
def _mask(
    regions: InspectedRegions, size_wh: tuple[int, int], scale_xy: tuple[float, float], offset_xy: tuple[float, float]
) -> np.ndarray:
    mask = np.full(size_wh[::-1], 0 if regions.inspect else 1, np.uint8)
    for polygons, value in ((regions.inspect, 1), (regions.ignore, 0)):
        for corners in polygons:
            # OpenCV's pixel centres are whole numbers, a frame's left edge is 0.
            placed = np.array(corners) * scale_xy + offset_xy - 0.5
            fixed = np.rint(placed * 2**_SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [fixed], value, shift=_SUBPIXEL_BITS)
    mask.setflags(write=False)
    return mask


INSPECTED, IGNORED = (0, 200, 215), (150, 150, 150)
"""Colours of outlines, RGB."""


def with_outlines(
    image: UInt8[np.ndarray, "h w 3"], regions: InspectedRegions | None, frame_wh: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of a picture (RGB) of a frame of that size with its regions' outlines; what is ignored is crossed out."""
    if not regions:
        return image
    drawn = image.copy()
    size_wh = image.shape[1], image.shape[0]
    width = max(1, round(max(size_wh) / 400))
    for inspected, corners in regions.outlines(frame_wh, size_wh):
        cv2.polylines(drawn, [corners], True, INSPECTED if inspected else IGNORED, width, cv2.LINE_AA)
        if not inspected:
            x, y, w, h = cv2.boundingRect(corners)
            cv2.line(drawn, (x, y), (x + w, y + h), IGNORED, width, cv2.LINE_AA)
    return drawn
