"""A word on a frame becomes feedback, or a sentence on what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deploy.errors import UsageError
from deploy.history.named_frame import NamedFrame
from deploy.history.word_on_frame import FrameWord, box_from, feedback_on
from ingest.feedback import Feedback, FeedbackKind
from tests.deploy.runs import AT, VIEW, decided, source

if TYPE_CHECKING:
    from deploy.place_on_frame import FrameBox


def said(
    word: FrameWord, ratio: float | None, *, box: FrameBox | None = None, regions: tuple[FrameBox, ...] = ()
) -> Feedback:
    """The feedback of a word on a frame of 200 x 100 px that was decided with this ratio; None: no decision found."""
    decision = None if ratio is None else decided(ratio, offset=7, regions=regions, size_wh=(200, 100))
    named = NamedFrame(source(7), decision)
    return feedback_on(named, word, view=VIEW, box_xyxy_px=box, why="seen", at=AT)


def test_a_false_reject_is_about_what_was_decided() -> None:
    """The regions above the threshold, joined; a box of the person's own comes first."""
    regions = ((10.0, 10.0, 20.0, 20.0), (50.0, 5.0, 60.0, 9.0))
    feedback = said(FrameWord.FALSE_REJECT, 1.4, regions=regions)
    assert (feedback.kind, feedback.source, feedback.why) == (FeedbackKind.FALSE_REJECT, source(7), "seen")
    assert feedback.box_xyxy_px == (10.0, 5.0, 60.0, 20.0)
    assert feedback.decision_id == decided(1.4, offset=7).id
    assert said(FrameWord.FALSE_REJECT, 1.4, regions=regions, box=(0, 0, 9, 9)).box_xyxy_px == (0, 0, 9, 9)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (FrameWord.ESCAPED, FeedbackKind.ESCAPED_DEFECT),
        (FrameWord.GOOD, FeedbackKind.GOOD),
        (FrameWord.BAD, FeedbackKind.BAD),
    ],
)
def test_other_words_are_about_the_whole_frame(word: FrameWord, kind: FeedbackKind) -> None:
    """Also where no decision on it is found."""
    regions = ((10.0, 10.0, 20.0, 20.0),)
    for feedback in (said(word, 0.5, regions=regions), said(word, None)):
        assert (feedback.kind, feedback.box_xyxy_px) == (kind, None)


def test_a_word_that_contradicts_the_verdict_is_refused() -> None:
    """It would enter the golden set as something that did not happen; the right word is named."""
    with pytest.raises(UsageError, match=r"did not escape; of a defective part say bad$"):
        said(FrameWord.ESCAPED, 1.4)
    with pytest.raises(UsageError, match=r"was not rejected; of a good part say good$"):
        said(FrameWord.FALSE_REJECT, 0.4)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "5,5,5,9", "-1,0,4,4", "9,9,1,1"])
def test_what_is_no_box_is_refused_with_the_form(text: str) -> None:
    """Four numbers, left before right, top before bottom."""
    with pytest.raises(UsageError, match="write left,top,right,bottom in pixels"):
        box_from(text)


def test_a_box_lies_on_the_frame() -> None:
    """As far as its size is known."""
    assert said(FrameWord.BAD, 0.5, box=box_from("0,0,200,100")).box_xyxy_px == (0, 0, 200, 100)
    with pytest.raises(UsageError, match=r"^--box 0,0,201,100 does not lie on the frame, which is 200 x 100 px$"):
        said(FrameWord.BAD, 0.5, box=box_from("0,0,201,100"))
