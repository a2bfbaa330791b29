"""Frames fitted into the places of a sheet, whole and in their own shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

    from deploy.pictures.canvas import Colour


def fitted_wh(image: UInt8[np.ndarray, "h w 3"], room_wh: tuple[int, int]) -> tuple[int, int]:
    """The largest width and height in the picture's own shape that the room holds."""
    scale = min(room_wh[0] / image.shape[1], room_wh[1] / image.shape[0])
    return max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))


def resized(image: UInt8[np.ndarray, "h w 3"], wh: tuple[int, int]) -> UInt8[np.ndarray, "h2 w2 3"]:
    """The picture at another size: by area where it shrinks, so that small defects stay visible."""
    how = cv2.INTER_AREA if wh[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, wh, interpolation=how))


def centred(
    image: UInt8[np.ndarray, "h w 3"], room_wh: tuple[int, int], ground: Colour
) -> UInt8[np.ndarray, "h2 w2 3"]:
    """A picture that fits into the room, in the middle of a ground of exactly that size."""
    height, width = image.shape[:2]
    out = np.full((room_wh[1], room_wh[0], 3), ground, np.uint8)
    x, y = (room_wh[0] - width) // 2, (room_wh[1] - height) // 2
    out[y : y + height, x : x + width] = image
    return out
