"""The sheet of two banks: frames that they see differently, as they came and under the heat map of either."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from deploy.pictures.annotated_frame import heated
from deploy.pictures.canvas import BOLD, Canvas, shortened
from deploy.pictures.contact_sheet import (
    CARD,
    FOOTER,
    GAP,
    GREEN,
    HEADER,
    INK,
    LINE,
    MARGIN,
    PAD,
    PAPER,
    RED,
    SOFT,
    WHITE,
    WIDTH,
    SheetHeader,
    draw_header,
)
from deploy.pictures.fitting import centred, fitted_wh, resized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float32

    from deploy.offline.compare_banks import ComparedFrame
    from deploy.pictures.canvas import CanvasBox, RgbImage

SIDE = (WIDTH - 2 * MARGIN - 2 * PAD - 2 * GAP) // 3
TALLEST = 420
CAPTION = 46


def render_comparison(
    header: SheetHeader,
    names: tuple[str, str],
    frames: Sequence[tuple[ComparedFrame, RgbImage, Sequence[Float32[np.ndarray, "h w"]]]],
) -> RgbImage:
    """A row for every frame: as it came, and under the heat map of the first and of the second bank (their names).

    Raises ValueError where there is no frame to show.
    """
    if not frames:
        raise ValueError("the sheet of two banks needs at least one frame")
    heights = [fitted_wh(image, (SIDE, TALLEST))[1] for _, image, _ in frames]
    rows = [height + 2 * PAD + CAPTION for height in heights]
    canvas = Canvas(WIDTH, HEADER + sum(rows) + GAP * len(rows) + FOOTER, PAPER)
    draw_header(canvas, header)
    top = HEADER
    for (frame, image, hot), height, row in zip(frames, heights, rows, strict=True):
        box = (MARGIN, top, WIDTH - MARGIN, top + row)
        _row(canvas, box, height=height, frame=frame, image=image, hot=hot, names=names)
        top += row + GAP
    canvas.text("1.00 is each bank's threshold: above it a part fails", (MARGIN, top + 44), size=17, colour=SOFT)
    return canvas.pixels


def _row(
    canvas: Canvas,
    box: CanvasBox,
    *,
    height: int,
    frame: ComparedFrame,
    image: RgbImage,
    hot: Sequence[Float32[np.ndarray, "h w"]],
    names: tuple[str, str],
) -> None:
    canvas.panel(box, CARD, radius_px=14)
    fit_wh, base = fitted_wh(image, (SIDE, TALLEST)), box[3] - PAD
    small = resized(image, fit_wh)
    heats = [np.asarray(cv2.resize(each, fit_wh, interpolation=cv2.INTER_LINEAR)) for each in hot]
    for column, picture in enumerate((small, *(heated(small, each) for each in heats))):
        x, y = box[0] + PAD + column * (SIDE + GAP), box[1] + PAD
        canvas.picture(centred(picture, (SIDE, height), LINE), (x, y, x + SIDE, y + height), radius_px=8)
        if column == 0:
            canvas.text(shortened(frame.name, SIDE, size=18), (x, base), size=18, colour=INK)
            continue
        ratio = frame.ratios[column - 1]
        colour = RED if ratio > 1 else GREEN
        width = canvas.chip("FAIL" if ratio > 1 else "PASS", (x, base), size=17, ink=WHITE, colour=colour)
        width += canvas.text(f"{ratio:.2f}", (x + width + 12, base), size=22, colour=INK, weight=BOLD) + 28
        canvas.text(shortened(names[column - 1], SIDE - width, size=17), (x + width, base), size=17, colour=SOFT)
