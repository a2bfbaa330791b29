"""What is measured of a frame without a network: exposure, sharpness, and a fingerprint that survives recompression."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

WHITE = 255
"""Luma of white: frames have 8 bits a channel."""

DARK_LUMA, SATURATED_LUMA = 8, 250
"""Luma up to which a pixel is dark (a covered lens, a dead lamp), and from which it is saturated: JPEG ringing keeps
blown-out areas just under white."""

FLAT_CONTRAST = 2 / WHITE
"""Contrast that averaged sensor noise alone may have: black levels and glare differ, but show nothing."""

FLAT_DARK, FLAT_WHITE = 32 / WHITE, 235 / WHITE
"""Brightness up to which, and from which, a picture without contrast is a covered lens, or glare."""

HASH_ROWS, HASH_COLUMNS = 8, 9


@dataclass(frozen=True)
class ImageStatistics:
    """Five numbers a frame; they separate a changed camera from a changed product.

    brightness, contrast: mean and standard deviation of luma, 0 to 1. sharpness: standard deviation of the Laplacian of
    luma (of 255), 0 for a featureless frame. dark_ratio, saturated_ratio: share of pixels with luma <= 8 and >= 250.
    """

    brightness: float
    contrast: float
    sharpness: float
    dark_ratio: float
    saturated_ratio: float


def measure(image: UInt8[np.ndarray, "h w 3"], inspected: UInt8[np.ndarray, "h w"] | None = None) -> ImageStatistics:
    """The statistics of a frame at the size it is given; sharpness compares only between frames of one size.

    Where `inspected` is given, of the pixels where it is not 0; of all where there are none.
    """
    if inspected is not None and not inspected.any():
        inspected = None
    luma = luma_of(image)
    histogram = np.asarray(cv2.calcHist([luma], [0], inspected, [WHITE + 1], [0, WHITE + 1]), np.float64).ravel()
    level, total = np.arange(WHITE + 1), float(histogram.sum())
    mean = float(histogram @ level) / total
    variance = float(histogram @ (level - mean) ** 2) / total
    _, edge = cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_16S), mask=inspected)
    return ImageStatistics(
        brightness=mean / WHITE,
        contrast=variance**0.5 / WHITE,
        sharpness=float(edge[0, 0]),
        dark_ratio=float(histogram[: DARK_LUMA + 1].sum()) / total,
        saturated_ratio=float(histogram[SATURATED_LUMA:].sum()) / total,
    )


def difference_hash(image: UInt8[np.ndarray, "h w 3"]) -> int:
    """64 bits: whether luma falls from each cell of a 9 x 8 grid to its right neighbour, row by row, first bit highest.

    Near-identical frames differ in few bits; a featureless frame is 0.
    """
    cells = np.asarray(cv2.resize(luma_of(image), (HASH_COLUMNS, HASH_ROWS), interpolation=cv2.INTER_AREA))
    return int.from_bytes(np.packbits(cells[:, :-1] > cells[:, 1:]).tobytes(), "big")


def hash_distance(a: int, b: int) -> int:
    """How many of the 64 bits differ."""
    return (a ^ b).bit_count()


def luma_of(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w"]:
    """The brightness of each pixel, 0 to 255."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
