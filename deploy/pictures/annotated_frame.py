"""A decided frame and how it is drawn: under its heat map, with defect boxes, with the outline of a known defect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.cameras.source import GOOD
from monitoring.heat_map import decision_heat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jaxtyping import Bool, Float32, UInt8

    from ingest.decision import Decision, Verdict
    from softpatch.images.geometry import FrameGeometry

DIMMED = 0.75
"""Brightness of the gray picture under a heat map."""
HEAT_FROM, HEAT_TO = 0.8, 2.0
"""Score ratios between which the heat map goes from invisible to its hottest colour; 1 is the threshold."""
HEAT_OPACITY = 0.72
HEAT_STOPS = ((0.0, (255, 214, 102)), (0.17, (250, 140, 22)), (0.5, (207, 19, 34)), (1.0, (120, 0, 60)))
"""Amber where it warms up, orange at the threshold, red and wine above it."""
TRUTH = (0, 200, 215)
BOX = (255, 255, 255)
BOX_EDGE = (120, 0, 40)


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """One decided frame. Pixels are decoded on access: a run has more frames than fit into memory."""

    name: str
    encoded: bytes
    decision: Decision
    geometry: FrameGeometry
    label: str | None = None
    """`good`, the type of defect, or None where nobody knows."""
    mask: Bool[np.ndarray, "h w"] | None = None
    was: Verdict | None = None
    """The verdict as it was, where `decision` is one by another threshold."""

    @property
    def image(self) -> UInt8[np.ndarray, "h w 3"]:
        """The frame as it came."""
        return self.geometry.decode(self.encoded)

    @property
    def heat(self) -> Float32[np.ndarray, "h w"]:
        """Score ratio of every pixel of the frame."""
        return decision_heat(self.decision, self.geometry, self.size_wh)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of the frame as it came, in pixels."""
        if self.decision.size_wh_px is not None:
            return self.decision.size_wh_px
        height, width = self.image.shape[:2]
        return width, height

    @property
    def defective(self) -> bool | None:
        """Whether the part is known to be bad."""
        return None if self.label is None else self.label != GOOD

    @property
    def ratio(self) -> float:
        """Score ratio, 0 where the frame has none."""
        return self.decision.score_ratio or 0.0


def heated(image: UInt8[np.ndarray, "h w 3"], heat: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The frame in dimmed gray under its heat map, so that the only colour is suspicion."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32) * DIMMED
    level = np.clip((heat - HEAT_FROM) / (HEAT_TO - HEAT_FROM), 0, 1)
    opacity = (np.clip(level * 3, 0, 1) * HEAT_OPACITY)[..., None]
    return np.rint(gray * (1 - opacity) + heat_colours(level) * opacity).astype(np.uint8)


def heat_colours(level: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w 3"]:
    """The colour of each level, 0 to 1."""
    stops = [stop for stop, _ in HEAT_STOPS]
    channels = [np.interp(level, stops, [colour[i] for _, colour in HEAT_STOPS]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def boxed(
    image: UInt8[np.ndarray, "h w 3"], boxes_xyxy: Iterable[Sequence[float]], scale: tuple[float, float]
) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with defect boxes, scaled (x, y) from the frame's pixels to the picture's."""
    out = image.copy()
    height, width = image.shape[:2]
    for box in boxes_xyxy:
        x0, y0, x1, y1 = (round(value * factor) for value, factor in zip(box, (*scale, *scale), strict=True))
        corners = (max(x0, 1), max(y0, 1)), (min(x1, width - 2), min(y1, height - 2))
        cv2.rectangle(out, *corners, BOX_EDGE, 4, cv2.LINE_AA)
        cv2.rectangle(out, *corners, BOX, 2, cv2.LINE_AA)
    return out


def outlined(image: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h2 w2"] | None) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with the known defect's outline, drawn outside of it: the defect itself stays visible."""
    if mask is None or not mask.any():
        return image
    height, width = image.shape[:2]
    small = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
    grown = cv2.dilate((np.asarray(small) > 0).astype(np.uint8), np.ones((7, 7), np.uint8))
    outlines, _ = cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(image.copy(), outlines, -1, TRUTH, 2, cv2.LINE_AA))
