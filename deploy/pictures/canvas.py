"""A sheet of paper to set pictures and words on: pixels are RGB bytes, edges and letters are antialiased."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    RgbImage = UInt8[np.ndarray, "h w 3"]

Colour = tuple[int, int, int]
CanvasBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, end exclusive."""
Align = Literal["left", "right", "centre"]

REGULAR, BOLD = 400, 600
SUPERSAMPLING = 4
"""Corners are drawn so many times larger and shrunk by area."""


class Canvas:
    """An RGB picture that is drawn on in place."""

    def __init__(self, width_px: int, height_px: int, paper: Colour) -> None:
        self.pixels: UInt8[np.ndarray, "h w 3"] = np.full((height_px, width_px, 3), paper, np.uint8)

    def text(
        self,
        words: str,
        at: tuple[int, int],
        *,
        size: int,
        colour: Colour,
        weight: int = REGULAR,
        align: Align = "left",
    ) -> int:
        """Write one line with its baseline at `at`; returns the width it took, in pixels."""
        width = text_width(words, size=size, weight=weight)
        x = at[0] - {"left": 0, "right": width, "centre": width // 2}[align]
        cv2.putText(self.pixels, words, (x, at[1]), colour, _font(), size, weight)
        return width

    def panel(self, box: CanvasBox, colour: Colour, *, radius_px: int) -> None:
        """Fill a box with rounded corners."""
        x0, y0, x1, y1 = box
        inside = _rounded(x1 - x0, y1 - y0, radius_px)[..., None]
        place = self.pixels[y0:y1, x0:x1]
        place[:] = np.rint(place * (1 - inside) + np.array(colour, np.float32) * inside).astype(np.uint8)

    def chip(self, words: str, at: tuple[int, int], *, size: int, ink: Colour, colour: Colour) -> int:
        """A small label on a rounded ground, its baseline at `at`; returns its width in pixels."""
        pad = size * 2 // 3
        width = text_width(words, size=size, weight=BOLD) + 2 * pad
        top = at[1] - size - size // 6
        self.panel((at[0], top, at[0] + width, at[1] + size // 2), colour, radius_px=size // 3)
        self.text(words, (at[0] + pad, at[1]), size=size, colour=ink, weight=BOLD)
        return width

    def picture(self, image: UInt8[np.ndarray, "h w 3"], box: CanvasBox, *, radius_px: int) -> None:
        """Set a picture of exactly the box's size, with rounded corners."""
        x0, y0, x1, y1 = box
        inside = _rounded(x1 - x0, y1 - y0, radius_px)[..., None]
        place = self.pixels[y0:y1, x0:x1]
        place[:] = np.rint(place * (1 - inside) + image * inside).astype(np.uint8)


def text_width(words: str, *, size: int, weight: int = REGULAR) -> int:
    """Pixels that a line of this size takes."""
    _, _, width, _ = cv2.getTextSize((0, 0), words, (0, 0), _font(), size, weight)
    return int(width)


def shortened(words: str, width_px: int, *, size: int) -> str:
    """The words, or their end after an ellipsis where the whole does not fit: file names differ at the end."""
    if text_width(words, size=size) <= width_px:
        return words
    for start in range(1, len(words)):
        if text_width("…" + words[start:], size=size) <= width_px:
            return "…" + words[start:]
    return "…"


@lru_cache(maxsize=1)
def _font() -> Any:  # noqa: ANN401 -- OpenCV has no annotations
    return cv2.FontFace("sans")  # comes with OpenCV 5


@lru_cache(maxsize=64)
def _rounded(width_px: int, height_px: int, radius_px: int) -> Float32[np.ndarray, "h w"]:
    """How far each pixel lies inside a rounded box, 0 to 1."""
    width, height, radius = (side * SUPERSAMPLING for side in (width_px, height_px, radius_px))
    mask = np.zeros((height, width), np.uint8)
    mask[radius : height - radius] = 255
    mask[:, radius : width - radius] = 255
    for centre in ((radius, radius), (width - 1 - radius, radius)):
        for x, y in (centre, (centre[0], height - 1 - centre[1])):
            cv2.circle(mask, (x, y), radius, 255, -1)
    shrunk = cv2.resize(mask, (width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.float32) / np.float32(255)
