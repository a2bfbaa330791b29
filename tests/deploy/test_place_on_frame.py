"""A place on a frame as people say it."""

from __future__ import annotations

import pytest

from deploy.place_on_frame import FrameBox, described_place, joined, place_words


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.0, 0.0, 0.2, 0.2), "upper left"),
        ((0.8, 0.9, 1.0, 1.0), "lower right"),
        ((0.4, 0.0, 0.6, 0.1), "top"),
        ((0.4, 0.9, 0.6, 1.0), "bottom"),
        ((0.0, 0.4, 0.1, 0.6), "left"),
        ((0.4, 0.4, 0.6, 0.6), "middle"),
        ((0.0, 0.8, 1.0, 1.0), "bottom"),
        ((0.8, 0.0, 1.0, 1.0), "right"),
        ((0.1, 0.1, 0.9, 0.9), "most of the frame"),
        (None, "whole frame"),
    ],
)
def test_a_place_has_the_words_of_who_looks_at_the_part(box: FrameBox | None, words: str) -> None:
    """By thirds; a box that is nearly as wide as the frame is neither left nor right."""
    assert place_words(box) == words


def test_the_per_cent_stand_behind_the_words() -> None:
    """Of width and height, from the upper left corner; the whole frame needs none."""
    assert described_place((0.125, 0.0, 0.25, 0.101)) == "upper left, x 12 to 25 %, y 0 to 10 %"
    assert described_place(None) == "whole frame"


def test_boxes_join_to_the_smallest_around_them() -> None:
    """None around none."""
    assert joined([(2.0, 9.0, 4.0, 11.0), (3.0, 1.0, 8.0, 2.0)]) == (2.0, 1.0, 8.0, 11.0)
    assert joined([]) is None
