"""What follows from a build, a command or a feedback: its view's next bank state, events, and what else is to be done.

The epoch counts up by one with every new state, also where only `commands_through` moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState

if TYPE_CHECKING:
    from datetime import datetime

TRAINER = "trainer"
"""Who acted, where no person did."""
EventFacts = dict[str, float | int | str | bool]


class NotPossible(ValueError):
    """What a person asked for cannot be done; the text is the reason that the event of its refusal gives."""


class Effect(StrEnum):
    """What a new state means for the view's window and builds."""

    NONE = "none"
    FORGET = "forget"
    """Empty the window and stop the running build: the view is learnt anew."""
    POSTPONE = "postpone"
    """Stop the running build and count the frames to the next one from now: a person chose another bank."""
    BUILD = "build"
    """Build from the window as soon as it is this view's turn."""
    REPLACE_BUILD = "replace_build"
    """Stop the running build, which knows less than the state now says, and build ahead of what else is due."""
    READ_AGAIN = "read_again"
    """Empty the window, stop the running build, and read the view's partitions again from the beginning."""
    RETIRE = "retire"
    """Stop the running build, and remove the view with all its files."""
    KEEP_WINDOW = "keep_window"
    """The file of the bank in force is gone, but the window is there: build as the first bank is built."""


@dataclass(frozen=True)
class NewFile:
    """Bytes for a path of the store."""

    path: str
    data: bytes


@dataclass(frozen=True)
class FileCopy:
    """A file of the store that another path gets, too."""

    path: str
    copy_of: str


@dataclass(frozen=True)
class Transition:
    """What follows: the next state (None: unchanged), its events, its effect, and files that the state names.

    The files are written before the state is: a crash in between leaves files that no state names.
    """

    state: BankState | None
    events: tuple[BankEvent, ...]
    effect: Effect = Effect.NONE
    files: tuple[NewFile | FileCopy, ...] = ()


@dataclass(frozen=True)
class Initiator:
    """Who wants a build, and why. `urgent`: ahead of all that is due without being so."""

    who: str
    why: str
    command_id: str | None = None
    """Of the command or the feedback that asked for it."""
    urgent: bool = False


def changed(state: BankState, initiator: Initiator, at: datetime, /, **update: object) -> BankState:
    """The next state; validated, since `model_copy` alone is not. The reason for a provisional state goes with it."""
    fields = {"epoch": state.epoch + 1, "at": at, "by": initiator.who, "why": initiator.why} | update
    if fields.get("state", state.state) is not ViewState.PROVISIONAL:
        fields |= {"provisional_because": None, "frames_needed": None}
    return BankState.model_validate({**dict(state), **fields})


def event_of(
    state: BankState,
    kind: BankEventKind,
    initiator: Initiator,
    *,
    bank: BankInForce | None = None,
    facts: EventFacts | None = None,
    at: datetime,
) -> BankEvent:
    """One line of the history of the view whose state is now `state`."""
    return BankEvent(
        view=state.view,
        kind=kind,
        epoch=state.epoch,
        bank_version=bank.version if bank else None,
        command_id=initiator.command_id,
        who=initiator.who,
        why=initiator.why,
        at=at,
        facts=facts or {},
    )
