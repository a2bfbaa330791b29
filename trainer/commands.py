"""What people's commands do to a view: functions of values. Every command has an event, a refused one too.

A rebuild's event is the build's own, `built` or `build_failed` with the command's id; the others have theirs at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command, CommandKind
from trainer.threshold_settings import with_band
from trainer.transition import Effect, EventFacts, Initiator, Transition, changed, event_of
from trainer.window import BuildRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trainer.settings import ViewTraining
    from trainer.window import WindowIndex


class NotPossible(ValueError):
    """A command that cannot be carried out; the text is the reason its `command_refused` event gives."""


class Banks(Protocol):
    """The bank files there are. Both raise NotPossible where the file is missing, invalid or of another graph."""

    def bank(self, view: str, version: str) -> BankInForce:
        """A bank with the threshold it suggests."""
        ...

    def threshold(self, view: str, version: str, false_reject_ratio: float) -> float:
        """What the bank's calibration gives for this share of rejected good parts."""
        ...


@dataclass(frozen=True)
class CommandContext:
    """A command with all that its outcome depends on: its view as it is, the bank files there are, and the time."""

    command: Command
    state: BankState
    index: WindowIndex
    training: ViewTraining
    banks: Banks
    at: datetime

    @property
    def initiator(self) -> Initiator:
        """The person who sent the command."""
        return Initiator(self.command.who, self.command.why, self.command.id)

    def done(
        self,
        kind: BankEventKind,
        effect: Effect = Effect.NONE,
        *,
        bank: BankInForce | None = None,
        facts: EventFacts | None = None,
        **update: object,
    ) -> Transition:
        """The transition of a command that changed something."""
        state = changed(self.state, self.initiator, self.at, **update)
        event = event_of(state, kind, self.initiator, bank=bank, facts=facts, at=self.at)
        return Transition(state, (event,), effect)


def after_command(context: CommandContext, *, offset: int) -> Transition | None:
    """What a command changes. None for one that is carried out already; a refused one has its event too.

    `offset` is where the command stands in the view's partition of `commands`.
    """
    if offset < context.state.commands_through:
        return None
    counted = replace(context, state=context.state.model_copy(update={"commands_through": offset + 1}))
    try:
        return _TRANSITIONS[context.command.kind](counted)
    except NotPossible as refusal:
        return _refused(counted, str(refusal))


def _promote(context: CommandContext) -> Transition:
    version = str(context.command.bank_version)
    if context.state.active is not None and context.state.active.version == version:
        raise NotPossible(f"bank {version[:12]} is in force already")
    bank = _named(context, version)
    return context.done(
        BankEventKind.PROMOTED,
        Effect.POSTPONE,
        bank=bank,
        facts={"threshold": bank.threshold},
        state=ViewState.ACTIVE,
        active=bank,
        previous=context.state.active or context.state.previous,
        candidate=None,
    )


def _roll_back(context: CommandContext) -> Transition:
    bank = context.state.previous
    if bank is None:
        raise NotPossible("there is no previous bank to go back to; `promote` takes any bank that is still kept")
    context.banks.bank(context.command.view, bank.version)  # a bank whose file is gone would leave the view with none
    return context.done(
        BankEventKind.ROLLED_BACK,
        Effect.POSTPONE,
        bank=bank,
        facts={"threshold": bank.threshold},
        state=ViewState.ACTIVE,
        active=bank,
        previous=context.state.active,
        candidate=None,
    )


def _rebuild(context: CommandContext) -> Transition:
    """Its event is the build's own: built or build_failed, with the command's id."""
    fewest, frames = context.training.build.fewest_frames, len(context.index.frames)
    waiting = context.index.build_request
    if waiting is not None and waiting.command_id != context.command.id:
        raise NotPossible(f"a rebuild is waiting already: command {waiting.command_id}")
    if frames < fewest:
        raise NotPossible(f"the window holds {frames} frames, a build needs {fewest}: wait for more")
    state = context.state.state
    if state is ViewState.HELD:
        state = ViewState.ACTIVE if context.state.active else ViewState.LEARNING
    return Transition(changed(context.state, context.initiator, context.at, state=state), (), Effect.BUILD)


def _relearn(context: CommandContext) -> Transition:
    """The bank in force goes too: it knows the line as it was. A rollback brings it back."""
    return context.done(
        BankEventKind.RELEARNING,
        Effect.FORGET,
        state=ViewState.LEARNING,
        active=None,
        previous=context.state.active or context.state.previous,
        shadow=None,
        candidate=None,
        pinned=None,
    )


def _pin(context: CommandContext) -> Transition:
    version = context.command.bank_version
    if version is None and context.state.active is None:
        raise NotPossible("no bank is in force: name the bank to pin")
    bank = context.state.active if version is None else _named(context, version)
    return context.done(BankEventKind.PINNED, bank=bank, pinned=bank.version if bank else None)


def _set_threshold(context: CommandContext) -> Transition:
    active, command = context.state.active, context.command
    if active is None:
        raise NotPossible("no bank is in force, so there is no threshold to set")
    if command.bank_version not in (None, active.version):
        raise NotPossible(
            f"the threshold is a distance of bank {str(command.bank_version)[:12]}, but in force is bank "
            f"{active.version[:12]}: see what it does to that one, and send it again"
        )
    threshold = command.threshold
    if threshold is None:
        threshold = context.banks.threshold(command.view, active.version, float(command.false_reject_ratio or 0))
    low, high = command.low_limit, command.high_limit
    if not (low or threshold) <= threshold <= (high or threshold):
        raise NotPossible(f"low_limit <= threshold <= high_limit must hold, not {low} <= {threshold} <= {high}")
    bank = active.model_copy(update={"threshold": threshold, "low_limit": low, "high_limit": high})
    if low is None and high is None:
        bank = with_band(bank, context.training.undecided_band)
    facts: EventFacts = {"threshold": threshold, "threshold_before": active.threshold}
    for name, limit in (("low_limit", bank.low_limit), ("high_limit", bank.high_limit)):
        if limit is not None:
            facts[name] = limit
    if command.false_reject_ratio is not None:
        facts["false_reject_ratio"] = command.false_reject_ratio
    return context.done(BankEventKind.THRESHOLD_CHANGED, bank=bank, facts=facts, active=bank)


_TRANSITIONS: dict[CommandKind, Callable[[CommandContext], Transition]] = {
    CommandKind.PROMOTE: _promote,
    CommandKind.ROLLBACK: _roll_back,
    CommandKind.REBUILD: _rebuild,
    CommandKind.RELEARN: _relearn,
    CommandKind.PIN: _pin,
    CommandKind.SET_THRESHOLD: _set_threshold,
}


def build_request_of(command: Command) -> BuildRequest:
    """The build that a `rebuild` requests, as the window's index remembers it."""
    return BuildRequest(command_id=command.id, who=command.who, why=command.why)


def _refused(context: CommandContext, reason: str) -> Transition:
    facts: EventFacts = {"command": context.command.kind.value, "requested_because": context.command.why}
    # Of the state only `commands_through` changes.
    state = changed(context.state, Initiator(context.state.by, context.state.why), context.at)
    refusal = Initiator(context.command.who, reason, context.command.id)
    return Transition(state, (event_of(state, BankEventKind.COMMAND_REFUSED, refusal, facts=facts, at=context.at),))


def _named(context: CommandContext, version: str) -> BankInForce:
    """A bank that the store holds: with the limits it had in force where the state still names it."""
    state, stored = context.state, context.banks.bank(context.command.view, version)
    for bank in (state.active, state.previous, state.shadow, state.candidate):
        if bank is not None and bank.version == version:
            return bank
    return with_band(stored, context.training.undecided_band)
