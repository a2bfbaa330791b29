"""How a frame of any size becomes the network's input, and how a box found there goes back to the frame."""

import math
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from softpatch.images.decode import FULL_DEPTH, MAX_PIXELS, SHALLOWEST, decode
from softpatch.images.regions import InspectedRegions, with_outlines

PATCH_SIDES_PX = (14, 16)
"""Of the patches of known networks: sides of an input are multiples of one of them (of 32 for most networks)."""


def _whole_patches(side_px: int) -> int:
    if not any(side_px % patch == 0 for patch in PATCH_SIDES_PX):
        raise ValueError(f"{side_px} px is no multiple of 32, which most networks take, nor of 14 or 16")
    return side_px


Side = Annotated[int, Field(ge=14), AfterValidator(_whole_patches)]

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels; x1 and y1 lie outside

ShareBox = tuple[float, float, float, float]  # the same in shares of a frame
WHOLE_FRAME: ShareBox = (0.0, 0.0, 1.0, 1.0)

PADDING = 127  # the normalised zero of the embedded backbone: a letterbox bar carries no edges but its own
CROP_RATIO = 256 / 224  # the paper resizes to 256 and keeps the middle 224


class Placement(NamedTuple):
    """The frame, resized to width x height, lies on the input with its corner at (left, top); negative cuts away."""

    width_px: int
    height_px: int
    left_px: int
    top_px: int


class Geometry(BaseModel):
    """One pure map from frame to network input, stored in the bank: a bank scores only what went the same way.

    `squash` keeps the whole frame and gives up its aspect ratio, `letterbox` keeps both and pads with mid-gray, `crop`
    is the paper's resize to 256 and centre crop to 224, scaled to this input: it cuts the border away.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["squash", "letterbox", "crop"] = "squash"
    height_px: Side = 224
    width_px: Side = 224

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """The network's input, height_px x width_px."""
        place = self.placement((image.shape[1], image.shape[0]))
        resized = resize(image, width_px=place.width_px, height_px=place.height_px)
        if place == (self.width_px, self.height_px, 0, 0):
            return resized
        if self.mode == "crop":
            top, left = -place.top_px, -place.left_px
            return np.ascontiguousarray(resized[top : top + self.height_px, left : left + self.width_px])
        canvas = np.full((self.height_px, self.width_px, 3), PADDING, np.uint8)
        canvas[place.top_px :, place.left_px :][: place.height_px, : place.width_px] = resized
        return canvas

    def placement(self, source_wh: tuple[int, int]) -> Placement:
        """Where a frame of this size lands on the input."""
        if self.mode == "squash":
            return Placement(self.width_px, self.height_px, 0, 0)
        ratios = self.width_px / source_wh[0], self.height_px / source_wh[1]
        scale = min(ratios) if self.mode == "letterbox" else CROP_RATIO * max(ratios)
        width, height = (max(1, round(scale * side)) for side in source_wh)
        return Placement(width, height, (self.width_px - width) // 2, (self.height_px - height) // 2)

    def source_box(self, box_xyxy: Box, source_wh: tuple[int, int]) -> Box:
        """The frame's pixels that a box of the network input covers: rounded outwards, clipped to the frame."""
        place = self.placement(source_wh)
        x_ratio, y_ratio = source_wh[0] / place.width_px, source_wh[1] / place.height_px
        x0, x1 = ((x - place.left_px) * x_ratio for x in box_xyxy[::2])
        y0, y1 = ((y - place.top_px) * y_ratio for y in box_xyxy[1::2])
        width, height = source_wh
        return (
            min(max(math.floor(x0 + _SLACK), 0), width),
            min(max(math.floor(y0 + _SLACK), 0), height),
            min(max(math.ceil(x1 - _SLACK), 0), width),
            min(max(math.ceil(y1 - _SLACK), 0), height),
        )


class FrameGeometry(Geometry):
    """The geometry of a view: how its encoded frames are read, and which parts of them the network sees.

    What is not inspected is painted in the network's gray before it sees the frame, so that nothing there moves the
    score of what lies beside it.
    """

    bit_depth: int | None = Field(default=FULL_DEPTH, ge=SHALLOWEST, le=FULL_DEPTH)
    """Bits of a sample that 16-bit pictures use, from the lowest on; 8-bit pictures use all of theirs.

    None before a bank says it: the fewest that hold the picture's own largest sample.
    """
    regions: InspectedRegions | None = None

    @classmethod
    def of(cls, geometry: Geometry, *, bit_depth: int | None, regions: InspectedRegions | None) -> "FrameGeometry":
        """That geometry for a view whose frames are read so."""
        return cls(
            mode=geometry.mode,
            height_px=geometry.height_px,
            width_px=geometry.width_px,
            bit_depth=bit_depth,
            regions=regions or None,
        )

    def decode(self, encoded: bytes, *, max_pixels: int | None = MAX_PIXELS) -> UInt8[np.ndarray, "h w 3"]:
        """The frame as 8-bit RGB. Raises UndecodableImage."""
        return decode(encoded, max_pixels=max_pixels, bit_depth=self.bit_depth)

    def apply(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "height width 3"]:
        """The network's input, height_px x width_px."""
        shaped = super().apply(image)
        inspected = self.inspected((image.shape[1], image.shape[0]))
        if inspected is None:
            return shaped
        return np.where(inspected[..., None] > 0, shaped, np.uint8(PADDING))

    def outlined(self, picture: UInt8[np.ndarray, "h w 3"], frame_wh: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
        """A picture (RGB, of any size) of a frame of that size, with the outlines of its regions."""
        return with_outlines(picture, self.regions, frame_wh)

    def inspected(self, source_wh: tuple[int, int]) -> UInt8[np.ndarray, "height width"] | None:
        """1 where the network's input of a frame of this size is inspected, 0 elsewhere; None: all of it is."""
        if self.regions is None:
            return None
        place = self.placement(source_wh)
        width, height = self.regions.frame_wh or source_wh
        return self.regions.mask(
            (self.width_px, self.height_px),
            scale_xy=(place.width_px / width, place.height_px / height),
            offset_xy=(float(place.left_px), float(place.top_px)),
        )

    def inspected_source(self, source_wh: tuple[int, int]) -> UInt8[np.ndarray, "h w"] | None:
        """The same for the pixels of the frame as it came."""
        if self.regions is None:
            return None
        width, height = self.regions.frame_wh or source_wh
        return self.regions.mask(source_wh, scale_xy=(source_wh[0] / width, source_wh[1] / height))

    def ignored_cells(self, grid: tuple[int, int], source_wh: tuple[int, int]) -> Bool[np.ndarray, "p q"] | None:
        """The grid positions without one inspected pixel; None where every position may score."""
        inspected = self.inspected(source_wh)
        if inspected is None:
            return None
        rows, columns = grid
        cells = inspected.reshape(rows, self.height_px // rows, columns, self.width_px // columns)
        return np.asarray(cells.max(axis=(1, 3)) == 0)


_SLACK = 1e-6  # so that 63.9999999 and 64.0000001 both mean 64


def resize(image: UInt8[np.ndarray, "h w 3"], *, width_px: int, height_px: int) -> UInt8[np.ndarray, "height width 3"]:
    """Area averages along each axis that shrinks, bilinear along each that grows.

    Plain bilinear from a 2-megapixel frame reads one pixel in nine and aliases small defects away.
    """
    height, width = image.shape[:2]
    shrunk_wh = min(width, width_px), min(height, height_px)
    if shrunk_wh != (width, height):
        image = np.asarray(cv2.resize(image, shrunk_wh, interpolation=cv2.INTER_AREA))
    if shrunk_wh != (width_px, height_px):
        image = np.asarray(cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_LINEAR))
    return image


def box_cells(
    box_xyxy: ShareBox,
    *,
    geometry: Geometry,
    grid: tuple[int, int],
    frame_wh: tuple[int, int],
) -> Bool[np.ndarray, "p q"]:
    """The grid positions that a box of the frame, in shares of it, touches on the network's input."""
    place = geometry.placement(frame_wh)
    x0, x1 = (place.left_px + share * place.width_px for share in box_xyxy[::2])
    y0, y1 = (place.top_px + share * place.height_px for share in box_xyxy[1::2])
    rows, columns = grid
    row = np.arange(rows) * geometry.height_px / rows
    column = np.arange(columns) * geometry.width_px / columns
    in_rows = (row < y1) & (row + geometry.height_px / rows > y0)
    in_columns = (column < x1) & (column + geometry.width_px / columns > x0)
    return np.asarray(in_rows[:, None] & in_columns[None, :])


def cells_box(cells: Bool[np.ndarray, "p q"], *, geometry: Geometry, frame_wh: tuple[int, int]) -> ShareBox:
    """The box that holds those grid positions, in shares of the frame; at least one position is set.

    The whole frame where they all lie beside it, on the bars of a letterbox.
    """
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    y_px, x_px = geometry.height_px / cells.shape[0], geometry.width_px / cells.shape[1]
    on_input = (columns[0] * x_px, rows[0] * y_px, (columns[-1] + 1) * x_px, (rows[-1] + 1) * y_px)
    x0, y0, x1, y1 = geometry.source_box(tuple(round(side) for side in on_input), frame_wh)
    width, height = frame_wh
    return (x0 / width, y0 / height, x1 / width, y1 / height) if x0 < x1 and y0 < y1 else WHOLE_FRAME
