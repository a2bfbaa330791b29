"""Statistics are their definitions; the hash tells near-identical frames from others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from softpatch.images.statistics import ImageStatistics, difference_hash, hash_distance, measure


def gray(values: np.ndarray) -> np.ndarray:
    """Three equal channels: luma is the value itself."""
    return np.dstack([values.astype(np.uint8)] * 3)


def smooth(seed: int) -> np.ndarray:
    """A picture with structure."""
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (120, 160, 3), dtype=np.uint8), (0, 0), 12) * 2


def test_statistics_equal_their_definitions() -> None:
    """Mean, standard deviation, Laplacian and shares, computed by NumPy and SciPy."""
    luma = np.random.default_rng(1).integers(0, 256, (60, 80))
    edges = ndimage.laplace(luma.astype(float), mode="mirror")
    found = measure(gray(luma))
    assert found.brightness == pytest.approx(luma.mean() / 255)
    assert found.contrast == pytest.approx(luma.std() / 255)
    assert found.sharpness == pytest.approx(edges.std())
    assert found.dark_ratio == pytest.approx((luma <= 8).mean())
    assert found.saturated_ratio == pytest.approx((luma >= 250).mean())


@pytest.mark.parametrize(("level", "dark", "saturated"), [(0, 1.0, 0.0), (255, 0.0, 1.0), (128, 0.0, 0.0)])
def test_a_featureless_frame(level: int, dark: float, saturated: float) -> None:
    """Black, white and gray."""
    expected = ImageStatistics(level / 255, 0.0, 0.0, dark, saturated)
    assert measure(gray(np.full((32, 32), level))) == expected


def test_blur_lowers_sharpness() -> None:
    """A lens out of focus shows."""
    frame = np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    assert measure(cv2.GaussianBlur(frame, (0, 0), 2)).sharpness < 0.2 * measure(frame).sharpness


def test_the_hash_is_64_comparisons_row_by_row() -> None:
    """On a 9 x 8 frame each cell is a pixel, so the definition can be written out."""
    luma = np.random.default_rng(2).integers(0, 256, (8, 9))
    bits = "".join("1" if luma[y, x] > luma[y, x + 1] else "0" for y in range(8) for x in range(8))
    assert difference_hash(gray(luma)) == int(bits, 2)


def test_the_hash_survives_recompression_and_light_but_not_another_picture() -> None:
    """A few bits at most, against about half of them."""
    frame = smooth(0)
    again = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    dimmer = (frame * 0.8).astype(np.uint8)
    assert hash_distance(difference_hash(frame), difference_hash(again)) <= 4
    assert hash_distance(difference_hash(frame), difference_hash(dimmer)) <= 4
    assert hash_distance(difference_hash(frame), difference_hash(smooth(1))) >= 16


def test_hash_distance_counts_bits() -> None:
    """Hamming distance."""
    assert hash_distance(0b1011, 0b0110) == 3
    assert hash_distance(0, 2**64 - 1) == 64
