"""The feedback contract: a person's word on one frame or on a group of frames. Kept for ever.

The trainer that owns the view reads it, in order; what came of it is a bank event with the feedback's id.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from ingest.contract import Message, Moment, Sha256, SourceRecord, Who, Why
from ingest.view import ViewName


class FeedbackKind(StrEnum):
    """What the person says."""

    ESCAPED_DEFECT = "escaped_defect"
    """A part that passed is defective: what vouched for it leaves this and every later bank."""
    FALSE_REJECT = "false_reject"
    """A part that failed is good: its patches stay, whatever the discriminator makes of them."""
    GOOD = "good"
    """A good part, however it was decided: one of the golden set."""
    BAD = "bad"
    """A defective part, however it was decided: one of the golden set, and never learnt."""
    GROUP_GOOD = "group_good"
    """The group is a good variant: learn it."""
    GROUP_DEFECT = "group_defect"
    """The group is a defect: never learn it."""
    GROUP_NO_PART = "group_no_part"
    """The group shows no part: such frames are undecided, with that reason."""
    GROUP_IGNORE = "group_ignore"
    """The group's place says nothing of the part: it never scores."""
    UNDO = "undo"
    """Take an earlier word back: a word on a frame goes, a group is open again."""


ABOUT_A_FRAME = frozenset({FeedbackKind.ESCAPED_DEFECT, FeedbackKind.FALSE_REJECT, FeedbackKind.GOOD, FeedbackKind.BAD})


class Feedback(Message):
    """One word from one person. A box limits it to a place on the frame (pixels of the frame as it came)."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    view: ViewName
    kind: FeedbackKind
    source: SourceRecord | None = None
    """Of a word on a frame: where the frame stands in Kafka."""
    decision_id: Sha256 | None = None
    annotation: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Of a word on a group: the group's id. Of an undo: the id of the group, or of the word on a frame."""
    box_xyxy_px: tuple[float, float, float, float] | None = None
    who: Who
    why: Why = ""
    at: Moment

    @model_validator(mode="after")
    def _says_what_it_is_about(self) -> Self:
        if self.kind in ABOUT_A_FRAME and self.source is None:
            raise ValueError(f"{self.kind} needs source")
        if self.kind not in ABOUT_A_FRAME and self.annotation is None:
            raise ValueError(f"{self.kind} needs annotation")
        return self
