"""Positions of the grid and those around them."""

import cv2
import numpy as np
from jaxtyping import Bool

MARGIN = 2
"""Patches around a place that leave the bank with it: what the network sees of a mark reaches so far."""


def with_margin(cells: Bool[np.ndarray, "p q"]) -> Bool[np.ndarray, "p q"]:
    """Those positions and the ones within the margin of them."""
    side = 2 * MARGIN + 1
    return np.asarray(cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8)), np.bool_)
