"""A person's word on one frame, as the feedback that the trainer reads: checked against what was decided on it."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from deploy.errors import UsageError
from deploy.place_on_frame import joined
from deploy.trainer_commands import new_feedback
from ingest.decision import Verdict
from ingest.feedback import FeedbackKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from deploy.history.named_frame import NamedFrame
    from deploy.place_on_frame import FrameBox
    from ingest.feedback import Feedback


class FrameWord(StrEnum):
    """What a person at the line says of one frame, as the command takes it."""

    ESCAPED = "escaped"
    """It passed, and the part is defective."""
    FALSE_REJECT = "false-reject"
    """It failed, and the part is good."""
    GOOD = "good"
    BAD = "bad"
    UNDO = "undo"
    """An earlier word was wrong."""


KINDS: Mapping[FrameWord, FeedbackKind] = MappingProxyType(
    {
        FrameWord.ESCAPED: FeedbackKind.ESCAPED_DEFECT,
        FrameWord.FALSE_REJECT: FeedbackKind.FALSE_REJECT,
        FrameWord.GOOD: FeedbackKind.GOOD,
        FrameWord.BAD: FeedbackKind.BAD,
        FrameWord.UNDO: FeedbackKind.UNDO,
    }
)
CONTRADICTIONS: Mapping[FrameWord, tuple[Verdict, str]] = MappingProxyType(
    {
        FrameWord.ESCAPED: (Verdict.FAIL, "the frame failed, so the part did not escape; of a defective part say bad"),
        FrameWord.FALSE_REJECT: (Verdict.PASS, "the frame passed, so it was not rejected; of a good part say good"),
    }
)


def box_from(text: str) -> FrameBox:
    """The box in --box: left, top, right, bottom in pixels. Raises UsageError."""
    try:
        left, top, right, bottom = (float(each) for each in text.split(","))
    except ValueError:
        raise UsageError(f"--box {text} is no box: write left,top,right,bottom in pixels, as 120,80,180,140") from None
    if not (0 <= left < right and 0 <= top < bottom):
        raise UsageError(f"--box {text} has no area: write left,top,right,bottom in pixels, from the upper left corner")
    return left, top, right, bottom


def feedback_on(
    frame: NamedFrame, word: FrameWord, *, view: str, box_xyxy_px: FrameBox | None, why: str, at: datetime
) -> Feedback:
    """The word as feedback; a false reject without a box is about the regions that were decided.

    Raises UsageError where the verdict on the frame says otherwise, or the box does not lie on it.
    """
    decision = frame.decision
    if decision is not None and word in CONTRADICTIONS and decision.verdict is CONTRADICTIONS[word][0]:
        raise UsageError(CONTRADICTIONS[word][1])
    size_wh = None if decision is None else decision.size_wh_px
    if box_xyxy_px is not None and size_wh is not None:
        _check_on_frame(box_xyxy_px, size_wh)
    if box_xyxy_px is None and word is FrameWord.FALSE_REJECT and decision is not None:
        box_xyxy_px = joined(region.box_xyxy_px for region in decision.regions)
    return new_feedback(
        KINDS[word],
        view,
        why=why,
        at=at,
        source=frame.source,
        decision_id=None if decision is None else decision.id,
        box_xyxy_px=box_xyxy_px,
    )


def _check_on_frame(box: FrameBox, size_wh: tuple[int, int]) -> None:
    if box[2] > size_wh[0] or box[3] > size_wh[1]:
        text = ",".join(f"{side:g}" for side in box)
        raise UsageError(f"--box {text} does not lie on the frame, which is {size_wh[0]} x {size_wh[1]} px")
