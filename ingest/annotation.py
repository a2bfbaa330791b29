"""The annotation contract: what is known of some frames of a view, by a build that found them or by a person's word.

A group of the few (frames alike among themselves and unlike the many at some place) is an annotation that a build
makes; it is `open` until a person gives it another label. A word on a single frame is an annotation by feedback.
Annotations stand in the bank state, so they have one writer, and every build of the view follows them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ingest.contract import FrozenModel, Moment, SourceRecord

Share = Annotated[float, Field(ge=0, le=1)]

EXEMPLARS = 8
"""Frames of a group that are kept in the store: enough to recognise it in later builds."""


class Label(StrEnum):
    """What the frames of an annotation show, at its place."""

    OPEN = "open"
    """Found by a build, and nobody has said what it is: not learnt, so its frames keep failing."""
    GOOD = "good"
    """A good part, or a variant of it: learnt, whatever the discriminator makes of it."""
    DEFECT = "defect"
    """Never learnt."""
    NO_PART = "no_part"
    """There is no part in the picture: undecided, with that reason."""
    IGNORE = "ignore"
    """The place says nothing of the part: it never scores, in any frame."""


class Exemplar(FrozenModel):
    """One frame of an annotation, kept in the store for as long as the annotation."""

    source: SourceRecord
    frame_id: str
    path: str
    """Of the encoded frame, in the store."""


class FrameAnnotation(FrozenModel):
    """Some frames of a view with what they show at one place."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    label: Label
    origin: Literal["group", "feedback"]
    """A group that a build found, or a person's word on one frame."""
    box_xyxy: tuple[Share, Share, Share, Share] | None = None
    """The place, in shares of the frame's width and height; absent: the whole frame."""
    exemplars: Annotated[tuple[Exemplar, ...], Field(max_length=EXEMPLARS)] = ()
    frames: Annotated[int, Field(ge=0)] = 0
    """Frames that showed it in the window of the latest build."""
    share: Share = 0.0
    """Of that window."""
    escaped: bool = False
    """Of a word on one frame: the frame had passed."""
    feedback_id: str | None = None
    """The word that gave the label; absent while it is open."""
    who: str
    why: str
    at: Moment
    """When the label was given, by these two."""
    found_at: Moment
    """When the annotation was made."""

    @model_validator(mode="after")
    def _box_has_an_area(self) -> FrameAnnotation:
        if self.box_xyxy is not None and not (
            self.box_xyxy[0] < self.box_xyxy[2] and self.box_xyxy[1] < self.box_xyxy[3]
        ):
            raise ValueError("box_xyxy must be left, top, right, bottom, with an area")
        return self
