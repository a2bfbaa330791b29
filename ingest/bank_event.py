"""The bank event contract: what happened to a view's banks; who, when, why. Kept for ever."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from ingest.contract import Message, Moment, Sha256
from ingest.view import ViewName


class BankEventKind(StrEnum):
    """What happened."""

    BUILT = "built"
    BUILD_FAILED = "build_failed"
    """With the fact `stopped`: a person chose another bank, or to learn anew, while it ran or waited."""
    GATED = "gated"
    """A candidate passed the gate and is not in force yet: it scores in shadow, or waits for a person.

    One that comes into force at once has `promoted` alone.
    """
    REFUSED = "refused"
    """A candidate did not pass the gate, or was decided otherwise too often in shadow.

    The facts name the bounds that are broken, each with its value and `_limit`, and frames that show it.
    """
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    THRESHOLD_CHANGED = "threshold_changed"
    PINNED = "pinned"
    UNPINNED = "unpinned"
    RETIRED = "retired"
    RELEARNING = "relearning"
    HELD = "held"
    """The view learns nothing until a person decides: a person said so, or its line has changed."""
    RELEASED = "released"
    """A held view learns again."""
    BUILD_CANCELLED = "build_cancelled"
    """A person stopped a build, running or asked for."""
    COMMAND_REFUSED = "command_refused"
    GROUP_FOUND = "group_found"
    """A build found frames that are alike and unlike the many. They are not learnt; a person is asked once."""
    LABELLED = "labelled"
    """A person's word on a group or a frame is in force from the next build on."""
    LABEL_REMOVED = "label_removed"
    """A word was taken back."""
    FEEDBACK_REFUSED = "feedback_refused"
    BANK_LOST = "bank_lost"
    """The store has no file of the bank in force: a new one is built from the frames that Kafka still has."""


class BankEvent(Message):
    """One line of a view's history, in the transaction that changed its state."""

    view: ViewName
    kind: BankEventKind
    epoch: Annotated[int, Field(ge=0)]
    """Of the bank state after the event."""
    bank_version: Sha256 | None = None
    command_id: str | None = None
    """Of the command, or of the feedback, that this answers."""
    who: str
    why: str
    at: Moment
    facts: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Figures that belong to the event: threshold, noise estimate, build seconds."""
