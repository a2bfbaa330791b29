"""A place on a frame, in words and in per cent: for people who look at the part, not at coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from softpatch.manifest import GroupRecord

FrameBox = tuple[float, float, float, float]
"""Left, top, right, bottom: in shares of the frame's width and height, or in pixels where the name says so."""

WIDE = 0.67
"""A box wider than this share of the frame has no left or right; one higher has no top or bottom."""
ACROSS, DOWN = ("left", "", "right"), ("upper", "", "lower")
EDGES = {"upper": "top", "lower": "bottom", "": "middle"}


def place_words(box_xyxy: FrameBox | None) -> str:
    """Where a box of shares lies, as a person would say it: "upper left", "bottom", "whole frame"."""
    if box_xyxy is None:
        return "whole frame"
    left, top, right, bottom = box_xyxy
    wide, high = right - left > WIDE, bottom - top > WIDE
    if wide and high:
        return "most of the frame"
    across = "" if wide else ACROSS[_third((left + right) / 2)]
    down = "" if high else DOWN[_third((top + bottom) / 2)]
    return f"{down} {across}".strip() if across else EDGES[down]


def place_percent(box_xyxy: FrameBox | None) -> str:
    """The box in per cent of the frame's width and height; empty for the whole frame."""
    if box_xyxy is None:
        return ""
    left, top, right, bottom = (round(100 * each) for each in box_xyxy)
    return f"x {left} to {right} %, y {top} to {bottom} %"


def described_place(box_xyxy: FrameBox | None) -> str:
    """The words, and the per cent behind them."""
    return ", ".join(each for each in (place_words(box_xyxy), place_percent(box_xyxy)) if each)


def group_place(group: GroupRecord) -> FrameBox | None:
    """Where a group of a bank is, in shares of the frame; None for the whole of it."""
    return None if group.whole_frame else group.box_xyxy


def joined(boxes: Iterable[FrameBox]) -> FrameBox | None:
    """The smallest box around all of these; None around none."""
    sides = tuple(zip(*boxes, strict=True))
    if not sides:
        return None
    return min(sides[0]), min(sides[1]), max(sides[2]), max(sides[3])


def _third(middle: float) -> int:
    return min(int(3 * middle), 2)
