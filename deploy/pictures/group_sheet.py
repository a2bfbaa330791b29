"""The sheet of one group: its frames with the place they share, beside a frame of the line that is not among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deploy.pictures.annotated_frame import boxed
from deploy.pictures.canvas import BOLD, Canvas, CanvasBox, shortened
from deploy.pictures.contact_sheet import (
    CARD,
    FLATTEST,
    FOOTER,
    GAP,
    GREEN,
    HEADER,
    INK,
    LINE,
    MARGIN,
    PAD,
    PAPER,
    SOFT,
    TALLEST,
    WIDTH,
    SheetHeader,
    draw_header,
)
from deploy.pictures.fitting import centred, fitted_wh, resized
from deploy.place_on_frame import described_place
from softpatch.images.decode import UndecodableImage
from softpatch.images.geometry import FrameGeometry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.pictures.canvas import RgbImage
    from deploy.place_on_frame import FrameBox

COLUMNS, CAPTION = 4, 44
CARD_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) // COLUMNS
PICTURE_WIDTH = CARD_WIDTH - 2 * PAD
AROUND = 1.4
"""A place is shown with what is around it: so many times its sides."""
FEWEST_SHARE = 0.15
"""Of the frame's sides that an enlarged place shows at least: less is blur."""


@dataclass(frozen=True, eq=False)
class GroupFrame:
    """One frame of the sheet, decoded, RGB."""

    name: str
    image: RgbImage
    in_group: bool = True


def group_frames(
    members: Sequence[tuple[str, bytes]],
    outside: tuple[str, bytes] | None,
    *,
    max_pixels: int,
    geometry: FrameGeometry | None = None,
) -> list[GroupFrame]:
    """Named frames of a group, decoded, after one that is in no group; at most two rows of the sheet.

    What cannot be decoded is left out. With a bank's geometry they are read as by it, and its regions are drawn.
    """
    by = geometry or FrameGeometry(bit_depth=None)
    found = [] if outside is None else _decoded(*outside, in_group=False, max_pixels=max_pixels, by=by)
    for name, encoded in members:
        found += _decoded(name, encoded, in_group=True, max_pixels=max_pixels, by=by)
    return found[: 2 * COLUMNS]


def _decoded(name: str, encoded: bytes, *, in_group: bool, max_pixels: int, by: FrameGeometry) -> list[GroupFrame]:
    try:
        image = by.decode(encoded, max_pixels=max_pixels)
    except UndecodableImage:
        return []
    return [GroupFrame(name, by.outlined(image, (image.shape[1], image.shape[0])), in_group)]


def group_header(
    title: str, view: str, box_xyxy: FrameBox | None, *, frames: int, share: float, label: str
) -> SheetHeader:
    """The top of the sheet: what it is, where, how often, and what a person said it is."""
    figures = [("frames", str(frames)), ("of the window", f"{100 * share:.1f} %"), ("label", label.replace("_", " "))]
    return SheetHeader(title, f"{view}: {described_place(box_xyxy)}", figures)


def render_group(header: SheetHeader, frames: Sequence[GroupFrame], box_xyxy: FrameBox | None) -> RgbImage:
    """A card for every frame: whole, with the group's box (shares of its sides), and the place enlarged.

    Raises ValueError where there is no frame to show.
    """
    if not frames:
        raise ValueError("the sheet of a group needs at least one frame")
    picture_wh = PICTURE_WIDTH, _picture_height(frames)
    card_height = 2 * PAD + CAPTION + picture_wh[1] + (0 if box_xyxy is None else picture_wh[1] + PAD // 2)
    rows = -(-len(frames) // COLUMNS)
    canvas = Canvas(WIDTH, HEADER + rows * (card_height + GAP) + FOOTER, PAPER)
    draw_header(canvas, header)
    for number, each in enumerate(frames):
        x = MARGIN + number % COLUMNS * (CARD_WIDTH + GAP)
        y = HEADER + number // COLUMNS * (card_height + GAP)
        _card(canvas, each, box_xyxy, (x, y, x + CARD_WIDTH, y + card_height), picture_wh)
    canvas.text(_legend(box_xyxy), (MARGIN, canvas.pixels.shape[0] - 36), size=17, colour=SOFT)
    return canvas.pixels


def enlarged_box(box_xyxy: FrameBox, size_wh: tuple[int, int], room_wh: tuple[int, int]) -> CanvasBox:
    """The pixels of a frame that an enlarged place shows: the place in the middle, in the room's shape if it fits."""
    width, height = size_wh
    left, top, right, bottom = box_xyxy
    wanted = max(AROUND * (right - left), FEWEST_SHARE) * width, max(AROUND * (bottom - top), FEWEST_SHARE) * height
    scale = max(wanted[0] / room_wh[0], wanted[1] / room_wh[1])
    shown = min(round(scale * room_wh[0]), width), min(round(scale * room_wh[1]), height)
    x = min(max(round((left + right) / 2 * width) - shown[0] // 2, 0), width - shown[0])
    y = min(max(round((top + bottom) / 2 * height) - shown[1] // 2, 0), height - shown[1])
    return x, y, x + shown[0], y + shown[1]


def _picture_height(frames: Sequence[GroupFrame]) -> int:
    aspect = float(np.median([each.image.shape[0] / each.image.shape[1] for each in frames]))
    return round(PICTURE_WIDTH * min(max(aspect, FLATTEST), TALLEST))


def _card(
    canvas: Canvas, each: GroupFrame, box_xyxy: FrameBox | None, card: CanvasBox, picture_wh: tuple[int, int]
) -> None:
    canvas.panel(card, CARD, radius_px=14)
    x, y = card[0] + PAD, card[1] + PAD
    for drawn in _pictures(each.image, box_xyxy, picture_wh):
        canvas.picture(drawn, (x, y, x + picture_wh[0], y + picture_wh[1]), radius_px=8)
        y += picture_wh[1] + PAD // 2
    base = card[3] - PAD
    words, colour = ("in the group", INK) if each.in_group else ("not in the group", GREEN)
    taken = canvas.text(words, (x, base), size=17, colour=colour, weight=BOLD)
    room = picture_wh[0] - taken - 16
    canvas.text(shortened(each.name, room, size=15), (card[2] - PAD, base), size=15, colour=SOFT, align="right")


def _pictures(image: RgbImage, box_xyxy: FrameBox | None, room_wh: tuple[int, int]) -> list[RgbImage]:
    """The whole frame, and under it the place enlarged, where there is one."""
    if box_xyxy is None:
        return [_fitted(image, room_wh, None)]
    height, width = image.shape[:2]
    x0, y0, x1, y1 = enlarged_box(box_xyxy, (width, height), room_wh)
    on_frame = tuple(share * side for share, side in zip(box_xyxy, (width, height, width, height), strict=True))
    on_crop = tuple(value - start for value, start in zip(on_frame, (x0, y0, x0, y0), strict=True))
    return [_fitted(image, room_wh, on_frame), _fitted(image[y0:y1, x0:x1], room_wh, on_crop)]


def _fitted(image: RgbImage, room_wh: tuple[int, int], box_xyxy_px: tuple[float, ...] | None) -> RgbImage:
    wh = fitted_wh(image, room_wh)
    drawn = resized(image, wh)
    if box_xyxy_px is not None:
        drawn = boxed(drawn, [box_xyxy_px], (wh[0] / image.shape[1], wh[1] / image.shape[0]))
    return centred(drawn, room_wh, LINE)


def _legend(box_xyxy: FrameBox | None) -> str:
    if box_xyxy is None:
        return "The frames of the group are alike, and unlike the other frames of the line, all over the picture."
    return (
        "The box is where the frames of the group are alike, and unlike the other frames of the line; below, enlarged."
    )
