"""A picture with its worst patches, each beside the bank patch most like it and the frame that one came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deploy.pictures.annotated_frame import BOX, BOX_EDGE, HEAT_FROM, heated
from deploy.pictures.canvas import BOLD, Canvas, CanvasBox, shortened
from deploy.pictures.contact_sheet import CARD, GREEN, INK, LINE, MARGIN, PAD, PAPER, RED, SOFT, WHITE, WIDTH
from deploy.pictures.fitting import fitted_wh, resized
from monitoring.heat_map import on_source

if TYPE_CHECKING:
    from deploy.offline.explain_image import ExplainedPatch, Explanation
    from deploy.pictures.canvas import RgbImage
    from softpatch.images.geometry import Geometry

HEADER, FOOTER, GAP = 150, 64, 24
LEFT = 560
"""Width of the column with the whole picture."""
SIDE, THUMB = 236, 236
"""Sides of a patch with what is around it, and of the frame that the bank patch came from."""
AROUND_CELLS = 7
"""Cells of the grid that a patch is shown with, itself in the middle."""
ROW = SIDE + 2 * PAD + 30


@dataclass(frozen=True)
class Cells:
    """The grid of a bank, laid on frames."""

    geometry: Geometry
    grid: tuple[int, int]

    def box(self, position: tuple[int, int], size_wh: tuple[int, int]) -> CanvasBox:
        """The pixels of a frame that a cell covers."""
        height, width = self.geometry.height_px // self.grid[0], self.geometry.width_px // self.grid[1]
        row, column = position
        on_input = (column * width, row * height, (column + 1) * width, (row + 1) * height)
        return self.geometry.source_box(on_input, size_wh)


def render_explanation(found: Explanation) -> RgbImage:
    """The sheet, RGB."""
    picture_wh = fitted_wh(found.image, (LEFT, LEFT))
    left_height = 2 * (picture_wh[1] + 52)
    height = HEADER + max(len(found.patches) * (ROW + GAP), left_height) + FOOTER
    canvas = Canvas(WIDTH, height, PAPER)
    _header(canvas, found)
    _whole(canvas, found, picture_wh)
    for number, each in enumerate(found.patches):
        top = HEADER + number * (ROW + GAP)
        _row(canvas, found, each, number=number + 1, box=(MARGIN + LEFT + 2 * GAP, top, WIDTH - MARGIN, top + ROW))
    canvas.text(
        f"1.00 is the {found.threshold_words}: above it a part fails. A patch is one cell of the network's grid; it "
        "sees some of what lies around it.",
        (MARGIN, height - 28),
        size=16,
        colour=SOFT,
    )
    return canvas.pixels


def _header(canvas: Canvas, found: Explanation) -> None:
    colour = RED if found.ratio > 1 else GREEN
    canvas.panel((MARGIN, 40, MARGIN + 6, 110), colour, radius_px=3)
    verdict = "FAIL" if found.ratio > 1 else "PASS"
    width = canvas.chip(verdict, (MARGIN + 26, 72), size=26, ink=WHITE, colour=colour)
    x = MARGIN + 26 + width + 18
    x += canvas.text(f"{found.ratio:.2f}", (x, 73), size=34, colour=INK, weight=BOLD) + 12
    x += canvas.text(f"of the {found.threshold_words}", (x, 73), size=20, colour=SOFT) + 28
    canvas.text(shortened(found.name, WIDTH - MARGIN - x, size=26), (x, 72), size=26, colour=INK)
    manifest = found.bank.manifest
    canvas.text(
        f"score {found.score:.3g}, {found.threshold_words} {found.threshold:.3g}; "
        f"bank {found.version[:12]} of {manifest.view}, "
        f"{len(found.bank.calibration_scores)} frames, {manifest.created_at[:16].replace('T', ' ')}",
        (MARGIN + 26, 108),
        size=18,
        colour=SOFT,
    )


def _whole(canvas: Canvas, found: Explanation, wh: tuple[int, int]) -> None:
    """The picture as it is, and below it under its heat map; the places that the rows explain are numbered."""
    size_wh = found.image.shape[1], found.image.shape[0]
    geometry = found.bank.manifest.geometry
    hot = heated(found.image, on_source(found.heat, geometry, size_wh))
    for number, (image, words) in enumerate(
        ((found.image, "The picture"), (hot, f"Score over threshold, shown from {HEAT_FROM:g}"))
    ):
        top = HEADER + number * (wh[1] + 52)
        canvas.text(words, (MARGIN, top + 16), size=18, colour=INK, weight=BOLD)
        box = (MARGIN, top + 28, MARGIN + wh[0], top + 28 + wh[1])
        canvas.picture(geometry.outlined(resized(image, wh), size_wh), box, radius_px=8)
        for place, each in enumerate(found.patches):
            at = _cells(found).box(each.position, size_wh)
            _mark(canvas, at, size_wh, box)
            if number == 0:
                _badge(canvas, place + 1, at, size_wh, box)


def _row(canvas: Canvas, found: Explanation, each: ExplainedPatch, *, number: int, box: CanvasBox) -> None:
    x, top = box[0] + PAD, box[1] + PAD
    canvas.panel(box, CARD, radius_px=14)
    cells = _cells(found)
    canvas.picture(_around(found.image, cells, each.position), (x, top, x + SIDE, top + SIDE), radius_px=8)
    canvas.chip(str(number), (x + 6, top + 26), size=17, ink=WHITE, colour=INK)
    x2 = x + SIDE + GAP
    x3 = x2 + SIDE + GAP
    if each.source is None:
        _missing_frame(canvas, (x2, top, x3 + THUMB, top + SIDE))
    else:
        near = _around(each.source, cells, each.source_position)
        canvas.picture(near, (x2, top, x2 + SIDE, top + SIDE), radius_px=8)
        _source(
            canvas, each.source, cells.box(each.source_position, _size(each.source)), (x3, top, x3 + THUMB, top + SIDE)
        )
    base = top + SIDE + 26
    for left, words in ((x, "in the picture"), (x2, "most like it in the bank"), (x3, "and where that was learnt")):
        canvas.text(words, (left, base), size=16, colour=SOFT)
    _figures(canvas, each, (x3 + THUMB + GAP, top, box[2] - PAD, box[3] - PAD))


def _figures(canvas: Canvas, each: ExplainedPatch, box: CanvasBox) -> None:
    x, width = box[0], box[2] - box[0]
    colour = RED if each.ratio > 1 else INK
    canvas.text(f"{each.ratio:.2f}", (x, box[1] + 34), size=36, colour=colour, weight=BOLD)
    canvas.text("of the threshold", (x, box[1] + 60), size=17, colour=SOFT)
    row, column = each.source_position
    weight = "" if each.soft_weight == 1 else f", weight {each.soft_weight:.2g}"
    lines = (
        (f"distance {each.distance:.3g}{weight}", INK),
        ("learnt from", SOFT),
        (shortened(each.source_name, width, size=17), INK),
        (f"row {row}, column {column}", SOFT),
        (_same_place(each), SOFT),
    )
    for number, (words, ink) in enumerate(lines):
        canvas.text(words, (x, box[1] + 104 + 28 * number), size=17, colour=ink)


def _same_place(each: ExplainedPatch) -> str:
    apart = max(abs(a - b) for a, b in zip(each.position, each.source_position, strict=True))
    return "at the same place" if apart == 0 else f"{apart} {'cell' if apart == 1 else 'cells'} away from it"


def _missing_frame(canvas: Canvas, box: CanvasBox) -> None:
    """Where nobody keeps the frame, its place is marked: a gap would look like a fault."""
    canvas.panel(box, LINE, radius_px=8)
    middle = (box[0] + box[2]) // 2
    canvas.text("the frame is no longer kept", (middle, box[1] + SIDE // 2), size=20, colour=INK, align="centre")
    words = "neither in the bank, nor in the view's window, nor in --frames"
    canvas.text(words, (middle, box[1] + SIDE // 2 + 28), size=15, colour=SOFT, align="centre")


def _source(canvas: Canvas, source: RgbImage, cell: CanvasBox, box: CanvasBox) -> None:
    """The whole frame that a bank patch was learnt from, the cell marked."""
    wh = fitted_wh(source, (box[2] - box[0], box[3] - box[1]))
    x, y = box[0] + (box[2] - box[0] - wh[0]) // 2, box[1] + (box[3] - box[1] - wh[1]) // 2
    place = (x, y, x + wh[0], y + wh[1])
    canvas.picture(resized(source, wh), place, radius_px=8)
    _mark(canvas, cell, _size(source), place)


def _mark(canvas: Canvas, at: CanvasBox, size_wh: tuple[int, int], box: CanvasBox) -> None:
    """A cell's outline on a picture that was set into `box`."""
    x_scale, y_scale = (box[2] - box[0]) / size_wh[0], (box[3] - box[1]) / size_wh[1]
    first = box[0] + round(at[0] * x_scale) - 3, box[1] + round(at[1] * y_scale) - 3
    last = box[0] + round(at[2] * x_scale) + 3, box[1] + round(at[3] * y_scale) + 3
    cv2.rectangle(canvas.pixels, first, last, BOX_EDGE, 4, cv2.LINE_AA)
    cv2.rectangle(canvas.pixels, first, last, BOX, 2, cv2.LINE_AA)


def _badge(canvas: Canvas, number: int, at: CanvasBox, size_wh: tuple[int, int], box: CanvasBox) -> None:
    x = box[0] + round(at[2] * (box[2] - box[0]) / size_wh[0]) + 8
    y = box[1] + round(at[1] * (box[3] - box[1]) / size_wh[1]) + 8
    canvas.chip(str(number), (min(x, box[2] - 34), max(y, box[1] + 24)), size=15, ink=WHITE, colour=INK)


def _around(image: RgbImage, cells: Cells, position: tuple[int, int]) -> RgbImage:
    """A square of the frame about a cell, the cell outlined; beyond the frame it is paper."""
    x0, y0, x1, y1 = cells.box(position, _size(image))
    half = AROUND_CELLS * max(x1 - x0, y1 - y0) / 2
    scale = SIDE / (2 * half)
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    to_crop = np.array([[scale, 0, SIDE / 2 - scale * middle[0]], [0, scale, SIDE / 2 - scale * middle[1]]])
    drawn = np.asarray(cv2.warpAffine(image, to_crop, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderValue=LINE))
    half_wh = round(scale * (x1 - x0) / 2), round(scale * (y1 - y0) / 2)
    first = SIDE // 2 - half_wh[0], SIDE // 2 - half_wh[1]
    last = SIDE // 2 + half_wh[0], SIDE // 2 + half_wh[1]
    cv2.rectangle(drawn, first, last, BOX_EDGE, 4, cv2.LINE_AA)
    cv2.rectangle(drawn, first, last, BOX, 2, cv2.LINE_AA)
    return drawn


def _cells(found: Explanation) -> Cells:
    return Cells(found.bank.manifest.geometry, found.bank.manifest.grid)


def _size(image: RgbImage) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
