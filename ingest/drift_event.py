"""The drift event contract: an episode of drift was noticed, got another name, or is over. Kept for ever."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ingest.contract import Message, Moment, Sha256
from ingest.view import ViewName


class DriftEventKind(StrEnum):
    """What happened to the episode."""

    NOTICED = "noticed"
    RENAMED = "renamed"
    """More frames show what it is: the same episode under another verdict."""
    OVER = "over"


class DriftEvent(Message):
    """One step of an episode of drift, with the decision at which it was taken."""

    view: ViewName
    kind: DriftEventKind
    verdict: Annotated[str, Field(min_length=1)]
    """In words, as `camera got darker`."""
    why: str
    decision_id: Sha256
    """The decision that showed it."""
    frames: Annotated[int, Field(ge=0)] = 0
    """Of the episode so far: since its likely beginning, to this decision."""
    at: Moment
    """When that frame was decided."""
