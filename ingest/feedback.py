"""The feedback contract: an operator's judgement of a part or of a quarantined cluster. Kept for ever.

Nothing reads or writes it yet.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from ingest.contract import Message, Moment, Sha256, SourceRecord
from ingest.view import ViewName


class FeedbackKind(StrEnum):
    """What the operator says."""

    ESCAPED_DEFECT = "escaped_defect"
    """A part that passed was bad: its patches become negatives of every later build."""
    FALSE_REJECT = "false_reject"
    """A part that failed was good."""
    QUARANTINE_YES = "quarantine_yes"
    """The quarantined cluster is normal: learn it."""
    QUARANTINE_NO = "quarantine_no"
    """The quarantined cluster is a defect: never learn it."""


class Feedback(Message):
    """One word from one person. A box limits it to a place on the frame (pixels of the frame as it came)."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    view: ViewName
    kind: FeedbackKind
    decision_id: Sha256 | None = None
    source: SourceRecord | None = None
    cluster: str | None = None
    box_xyxy_px: tuple[float, float, float, float] | None = None
    who: Annotated[str, Field(min_length=1)]
    why: str = ""
    at: Moment

    @model_validator(mode="after")
    def _says_what_it_is_about(self) -> Self:
        about_cluster = self.kind in (FeedbackKind.QUARANTINE_YES, FeedbackKind.QUARANTINE_NO)
        if about_cluster and self.cluster is None:
            raise ValueError(f"{self.kind} needs cluster")
        if not about_cluster and (self.decision_id is None or self.source is None):
            raise ValueError(f"{self.kind} needs decision_id and source")
        return self
