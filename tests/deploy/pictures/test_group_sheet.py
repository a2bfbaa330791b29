"""The sheet of a group: where its box and its enlarged place lie, and what it cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.pictures.annotated_frame import BOX
from deploy.pictures.contact_sheet import HEADER as HEADER_PX
from deploy.pictures.contact_sheet import MARGIN, WIDTH
from deploy.pictures.group_sheet import GroupFrame, enlarged_box, group_frames, group_header, render_group
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from deploy.place_on_frame import FrameBox

CORNER: FrameBox = (0.75, 0.0, 1.0, 0.25)
HEADER = group_header("Group g1", "line-1/camera-1", CORNER, frames=16, share=0.04, label="no_part")


def frame(level: int, *, in_group: bool = True, size_wh: tuple[int, int] = (96, 64)) -> GroupFrame:
    """A frame of one gray."""
    return GroupFrame(f"frame-{level}", np.full((size_wh[1], size_wh[0], 3), level, np.uint8), in_group)


def test_the_header_has_the_figures_in_words() -> None:
    """Place, frames, share and label."""
    assert HEADER.line == "line-1/camera-1: upper right, x 75 to 100 %, y 0 to 25 %"
    assert list(HEADER.figures) == [("frames", "16"), ("of the window", "4.0 %"), ("label", "no part")]


@pytest.mark.parametrize(("frames", "rows"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_every_frame_has_a_card(frames: int, rows: int) -> None:
    """Four beside each other."""
    one, sheet = (render_group(HEADER, [frame(100)] * count, CORNER) for count in (1, frames))
    five = render_group(HEADER, [frame(100)] * 5, CORNER)
    assert sheet.shape == (one.shape[0] + (rows - 1) * (five.shape[0] - one.shape[0]), WIDTH, 3)


def test_the_box_is_drawn_and_the_place_enlarged_below() -> None:
    """A group of whole frames has neither."""
    white = np.array(BOX, np.uint8)

    def white_pixels(box: FrameBox | None) -> int:
        picture = render_group(HEADER, [frame(100)], box)[HEADER_PX + 30 : HEADER_PX + 250, MARGIN + 30 : 420]
        return int((picture == white).all(axis=-1).sum())

    with_place, whole = (render_group(HEADER, [frame(100)], box) for box in (CORNER, None))
    assert with_place.shape[0] > whole.shape[0]
    assert white_pixels(CORNER) > white_pixels(None) == 0


@pytest.mark.parametrize("box", [CORNER, (0.0, 0.9, 0.05, 1.0), (0.4, 0.4, 0.6, 0.6), (0.0, 0.0, 1.0, 0.1)])
@pytest.mark.parametrize("size_wh", [(640, 480), (100, 900)])
def test_an_enlarged_place_holds_the_box_and_lies_on_the_frame(box: FrameBox, size_wh: tuple[int, int]) -> None:
    """Also in a corner, where its middle cannot be the box's."""
    x0, y0, x1, y1 = enlarged_box(box, size_wh, (368, 276))
    width, height = size_wh
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert x0 <= box[0] * width + 1
    assert y0 <= box[1] * height + 1
    assert x1 >= box[2] * width - 1
    assert y1 >= box[3] * height - 1


def test_a_small_place_is_shown_with_what_is_around_it() -> None:
    """Six pixels of 640 alone would be blur."""
    x0, _, x1, _ = enlarged_box((0.5, 0.5, 0.51, 0.51), (640, 480), (368, 276))
    assert x1 - x0 >= 0.15 * 640


def test_what_cannot_be_decoded_is_left_out_and_the_frame_outside_comes_first() -> None:
    """No frame at all makes no sheet."""
    members = [("a", jpeg(1)), ("b", b"no picture"), ("c", jpeg(2))]
    shown = group_frames(members, ("usual", jpeg(3)), max_pixels=10_000)
    assert [(each.name, each.in_group) for each in shown] == [("usual", False), ("a", True), ("c", True)]
    assert group_frames(members, None, max_pixels=10) == []
    assert len(group_frames(members[:1] * 9, None, max_pixels=10_000)) == 8
    with pytest.raises(ValueError, match="at least one frame"):
        render_group(HEADER, [], CORNER)
