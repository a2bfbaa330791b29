"""What people's commands do to a view: functions of values. Every command has an outcome event, a refused one too.

A rebuild's event is the build's own, `built` or `build_failed` with the command's id; the others have theirs at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command, CommandKind
from trainer.transition import Effect, EventFacts, Initiator, Transition, changed, event_of
from trainer.undecided_band import with_band
from trainer.window import BuildAsked

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trainer.settings import ViewTraining
    from trainer.window import WindowIndex


class NotPossible(ValueError):
    """A command that cannot be carried out; the text is the reason its `command_refused` event gives."""


@dataclass(frozen=True)
class ViewNow:
    """A view as it is: its state, its window, its settings."""

    state: BankState
    index: WindowIndex
    training: ViewTraining


class Banks(Protocol):
    """The bank files there are. Both raise NotPossible where the file is missing, invalid or of another graph."""

    def bank(self, view: str, version: str) -> BankInForce:
        """A bank with the threshold it suggests."""
        ...

    def threshold(self, view: str, version: str, false_reject_ratio: float) -> float:
        """What the bank's calibration gives for this share of rejected good parts."""
        ...


def after_command(command: Command, offset: int, view: ViewNow, banks: Banks, *, at: datetime) -> Transition | None:
    """What a command changes. None for one that is carried out already; a refused one has its event too.

    Args:
        command: what is asked.
        offset: where the command stands in the view's partition of `commands`.
        view: what the command is about, as it is.
        banks: the bank files a command may name.
        at: now.
    """
    if offset < view.state.commands_through:
        return None
    state = view.state.model_copy(update={"commands_through": offset + 1})
    now = _Now(state, command, banks, view.index, view.training, at)
    try:
        return _CARRIED_OUT[command.kind](now)
    except NotPossible as refusal:
        return _refused(now, str(refusal))


@dataclass(frozen=True)
class _Now:
    """A command with all that it is judged by."""

    state: BankState
    command: Command
    banks: Banks
    index: WindowIndex
    training: ViewTraining
    at: datetime

    def done(
        self,
        kind: BankEventKind,
        effect: Effect = Effect.NONE,
        *,
        bank: BankInForce | None = None,
        facts: EventFacts | None = None,
        **update: object,
    ) -> Transition:
        """The outcome of a command that changed something."""
        cause = Initiator(self.command.who, self.command.why, self.command.id)
        state = changed(self.state, cause, self.at, **update)
        return Transition(state, (event_of(state, kind, cause, bank=bank, facts=facts, at=self.at),), effect)


def _promote(now: _Now) -> Transition:
    version = str(now.command.bank_version)
    if now.state.active is not None and now.state.active.version == version:
        raise NotPossible(f"bank {version[:12]} is in force already")
    bank = _named(now, version)
    return now.done(
        BankEventKind.PROMOTED,
        Effect.POSTPONE,
        bank=bank,
        facts={"threshold": bank.threshold},
        state=ViewState.ACTIVE,
        active=bank,
        previous=now.state.active or now.state.previous,
        candidate=None,
    )


def _roll_back(now: _Now) -> Transition:
    bank = now.state.previous
    if bank is None:
        raise NotPossible("there is no previous bank to go back to; `promote` takes any bank that is still kept")
    now.banks.bank(now.command.view, bank.version)  # a bank whose file is gone would leave the view with none
    return now.done(
        BankEventKind.ROLLED_BACK,
        Effect.POSTPONE,
        bank=bank,
        facts={"threshold": bank.threshold},
        state=ViewState.ACTIVE,
        active=bank,
        previous=now.state.active,
        candidate=None,
    )


def _rebuild(now: _Now) -> Transition:
    """Its event is the build's own: built or build_failed, with the command's id."""
    fewest, held = now.training.build.fewest_frames, len(now.index.frames)
    if now.index.asked is not None and now.index.asked.command_id != now.command.id:
        raise NotPossible(f"a rebuild is waiting already: command {now.index.asked.command_id}")
    if held < fewest:
        raise NotPossible(f"the window holds {held} frames, a build needs {fewest}: wait for more")
    state = now.state.state
    if state is ViewState.HELD:
        state = ViewState.ACTIVE if now.state.active else ViewState.LEARNING
    cause = Initiator(now.command.who, now.command.why, now.command.id)
    return Transition(changed(now.state, cause, now.at, state=state), (), Effect.BUILD)


def _relearn(now: _Now) -> Transition:
    """The bank in force goes too: it knows the line as it was. A rollback brings it back."""
    return now.done(
        BankEventKind.RELEARNING,
        Effect.FORGET,
        state=ViewState.LEARNING,
        active=None,
        previous=now.state.active or now.state.previous,
        shadow=None,
        candidate=None,
        pinned=None,
    )


def _pin(now: _Now) -> Transition:
    version = now.command.bank_version
    if version is None and now.state.active is None:
        raise NotPossible("no bank is in force: name the bank to pin")
    bank = now.state.active if version is None else _named(now, version)
    return now.done(BankEventKind.PINNED, bank=bank, pinned=bank.version if bank else None)


def _set_threshold(now: _Now) -> Transition:
    active, command = now.state.active, now.command
    if active is None:
        raise NotPossible("no bank is in force, so there is no threshold to set")
    if command.bank_version not in (None, active.version):
        raise NotPossible(
            f"the threshold is a distance of bank {str(command.bank_version)[:12]}, but in force is bank "
            f"{active.version[:12]}: look at what it does to that one, and ask again"
        )
    threshold = command.threshold
    if threshold is None:
        threshold = now.banks.threshold(command.view, active.version, float(command.false_reject_ratio or 0))
    low, high = command.low_limit, command.high_limit
    if not (low or threshold) <= threshold <= (high or threshold):
        raise NotPossible(f"low_limit <= threshold <= high_limit must hold, not {low} <= {threshold} <= {high}")
    bank = active.model_copy(update={"threshold": threshold, "low_limit": low, "high_limit": high})
    if low is None and high is None:
        bank = with_band(bank, now.training.undecided_band)
    facts: EventFacts = {"threshold": threshold, "threshold_before": active.threshold}
    for name, limit in (("low_limit", bank.low_limit), ("high_limit", bank.high_limit)):
        if limit is not None:
            facts[name] = limit
    if command.false_reject_ratio is not None:
        facts["false_reject_ratio"] = command.false_reject_ratio
    return now.done(BankEventKind.THRESHOLD_CHANGED, bank=bank, facts=facts, active=bank)


_CARRIED_OUT: dict[CommandKind, Callable[[_Now], Transition]] = {
    CommandKind.PROMOTE: _promote,
    CommandKind.ROLLBACK: _roll_back,
    CommandKind.REBUILD: _rebuild,
    CommandKind.RELEARN: _relearn,
    CommandKind.PIN: _pin,
    CommandKind.SET_THRESHOLD: _set_threshold,
}


def asked_by(command: Command) -> BuildAsked:
    """The build a `rebuild` asks for, as the window's index remembers it."""
    return BuildAsked(command_id=command.id, who=command.who, why=command.why)


def _refused(now: _Now, reason: str) -> Transition:
    facts: EventFacts = {"command": now.command.kind.value, "asked_because": now.command.why}
    # The state says what it said, but for the place of the next command.
    state = changed(now.state, Initiator(now.state.by, now.state.why), now.at)
    refusal = Initiator(now.command.who, reason, now.command.id)
    return Transition(state, (event_of(state, BankEventKind.COMMAND_REFUSED, refusal, facts=facts, at=now.at),))


def _named(now: _Now, version: str) -> BankInForce:
    """A bank that the store holds: with the limits it had in force where the state still names it."""
    state, stored = now.state, now.banks.bank(now.command.view, version)
    for bank in (state.active, state.previous, state.shadow, state.candidate):
        if bank is not None and bank.version == version:
            return bank
    return with_band(stored, now.training.undecided_band)
