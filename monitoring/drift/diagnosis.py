"""What changed, in words for people: by how the last frames differ from the bank's window.

A lamp scales a picture: brightness, contrast and sharpness change by one factor. A lens takes sharpness away and leaves
brightness. A new product leaves both roughly, and looks like nothing in the window. Defects raise few scores of many.
What differs at one place of most frames, as inference finds, is neither: it lies on the lens or in the fixture.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.bets import negligible_ratio
from monitoring.drift.reference import QUANTITIES, Reference
from monitoring.drift.sample_distances import kolmogorov_smirnov

if TYPE_CHECKING:
    from jaxtyping import Float64

MOVED_DISTANCE = 0.5
"""Kolmogorov-Smirnov distance from which a quantity counts as moved: half of the frames are where none were."""
MOVED_P_VALUE = 1e-3
LOST_SHARPNESS_RATIO = 0.85
"""Sharpness over contrast falls below this share of what it was: more than any lamp takes."""
LAMP_SHARE = 0.5
LAMP_SLACK = 0.05
"""A lamp moves contrast by brightness's factor, give or take half of it (a black part stays black) or 5 %."""
BLACK_RATIO = 0.9
"""Share of dark pixels from which a camera sees nothing."""


class DriftVerdict(StrEnum):
    """What happened to a view."""

    COVERED = "camera sees nothing"
    DARKER = "camera got darker"
    BRIGHTER = "camera got brighter"
    OUT_OF_FOCUS = "camera out of focus"
    CONTRAST_CHANGED = "camera contrast changed"
    FROZEN = "camera frozen"
    FRAME_SIZE_CHANGED = "frame size changed"
    FRAMES_LOST = "frames lost"
    LENS_OR_FIXTURE = "lens or fixture changed"
    PRODUCT_CHANGED = "product changed"
    DEFECT_RATE_ROSE = "defect rate rose"
    SCORES_FELL = "scores fell"

    @property
    def label(self) -> str:
        """The same as a metric's label says it."""
        return self.value.replace(" ", "_")


OF_FEW_FRAMES = (DriftVerdict.DEFECT_RATE_ROSE, DriftVerdict.SCORES_FELL, DriftVerdict.FRAMES_LOST)
"""What may happen while most frames look as ever."""
OF_THE_PART = (DriftVerdict.PRODUCT_CHANGED, DriftVerdict.DEFECT_RATE_ROSE)
"""What scores say of the part, and takes back where most frames fail at one place."""


def verdict_of(
    recent: Float64[np.ndarray, "frames 7"], reference: Reference, *, driver: str, side: int
) -> DriftVerdict:
    """The word for the difference between recent frames and the window.

    `driver` is the quantity of WATCHED whose bet says most and `side` its direction; it decides only where no picture
    of the whole explains the alarm.
    """
    if driver == "gap":
        return DriftVerdict.FRAMES_LOST
    return of_most_frames(recent, reference) or _driven(driver, side)


def of_most_frames(recent: Float64[np.ndarray, "frames 7"], reference: Reference) -> DriftVerdict | None:
    """The word where most of the frames changed: the camera did, or the product. None where a few may have."""
    return _camera(recent, reference) or _line(recent, reference)


def _camera(recent: Float64[np.ndarray, "frames 7"], reference: Reference) -> DriftVerdict | None:
    if np.median(recent[:, QUANTITIES.index("dark_ratio")]) >= BLACK_RATIO:
        return DriftVerdict.COVERED
    brightness, contrast, sharpness = (_factor(recent, reference, n) for n in ("brightness", "contrast", "sharpness"))
    if _moved(recent, reference, "sharpness") and sharpness < LOST_SHARPNESS_RATIO * min(contrast, 1.0):
        return DriftVerdict.OUT_OF_FOCUS
    lamp = _is_one_factor(brightness, contrast)
    if _moved(recent, reference, "brightness") and (lamp or not _moved(recent, reference, "novelty")):
        return DriftVerdict.DARKER if brightness < 1 else DriftVerdict.BRIGHTER
    return None


def _is_one_factor(brightness: float, contrast: float) -> bool:
    slack = max(LAMP_SLACK, LAMP_SHARE * abs(np.log(brightness)))
    return bool(abs(np.log(contrast / brightness)) <= slack)


def _line(recent: Float64[np.ndarray, "frames 7"], reference: Reference) -> DriftVerdict | None:
    """Most frames look like none of the window, or most score as few did: that many parts are not defective at once."""
    scores_rose = _moved(recent, reference, "score") and _factor(recent, reference, "score") > 1
    return DriftVerdict.PRODUCT_CHANGED if scores_rose or _moved(recent, reference, "novelty") else None


def _driven(driver: str, side: int) -> DriftVerdict:
    words = {
        "score": DriftVerdict.DEFECT_RATE_ROSE if side > 0 else DriftVerdict.SCORES_FELL,
        "rank": DriftVerdict.DEFECT_RATE_ROSE,
        "brightness": DriftVerdict.BRIGHTER if side > 0 else DriftVerdict.DARKER,
        "dark_ratio": DriftVerdict.DARKER,
        "saturated_ratio": DriftVerdict.BRIGHTER,
        "novelty": DriftVerdict.PRODUCT_CHANGED,
    }
    return words.get(driver, DriftVerdict.CONTRAST_CHANGED)


def _moved(recent: Float64[np.ndarray, "frames 7"], reference: Reference, name: str) -> bool:
    """Whether most frames lie elsewhere, and so far that it matters."""
    column = QUANTITIES.index(name)
    distance, p_value = kolmogorov_smirnov(reference.ordered[:, column], recent[:, column])
    far = abs(np.log(_factor(recent, reference, name))) > np.log1p(negligible_ratio(name))
    return bool(far and distance >= MOVED_DISTANCE and p_value <= MOVED_P_VALUE)


def _factor(recent: Float64[np.ndarray, "frames 7"], reference: Reference, name: str) -> float:
    """Median of the recent frames over the window's. A lightless picture counts as a millionth."""
    column = QUANTITIES.index(name)
    before, now = np.median(reference.values[:, column]), np.median(recent[:, column])
    return float(max(now, 1e-6) / max(before, 1e-6))
