"""Positions of the grid and those around them."""

import cv2
import numpy as np
from jaxtyping import Bool

MARGIN = 2
"""Patches around a place that leave the bank with it: what the network sees of a mark reaches so far."""


def with_margin(cells: Bool[np.ndarray, "*frames p q"], margin: int = MARGIN) -> Bool[np.ndarray, "*frames p q"]:
    """Those positions and the ones within so many of them, in each frame."""
    square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    frames = cells.reshape(-1, *cells.shape[-2:]).astype(np.uint8)
    return np.array([cv2.dilate(each, square) for each in frames], np.bool_).reshape(cells.shape)
