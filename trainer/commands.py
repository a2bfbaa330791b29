"""What people's commands do to a view: functions of values. Every command has an event, a refused one too.

A rebuild's event is the build's own, `built` or `build_failed` with the command's id; the others have theirs at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command, CommandKind
from trainer.threshold_settings import false_reject_ratio_of, undecided_band_of, with_band
from trainer.transition import Effect, EventFacts, Initiator, NotPossible, Transition, changed, event_of
from trainer.window import BuildRequest, lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trainer.settings import ViewTraining
    from trainer.window import WindowIndex


class Banks(Protocol):
    """The bank files there are. All raise NotPossible where the file is missing, invalid or of another graph."""

    def bank(self, view: str, version: str) -> BankInForce:
        """A bank with the threshold it suggests."""
        ...

    def threshold(self, view: str, version: str, false_reject_ratio: float) -> float:
        """What the bank's calibration gives for this share of rejected good parts."""
        ...

    def ratio(self, view: str, version: str, threshold: float) -> float:
        """The share of rejected good parts that this threshold means by the bank's calibration."""
        ...


LOOSEST_RATIO, STRICTEST_RATIO = 0.49, 0.0001
LIMIT_FACTOR = 2.0
"""Limits may lie so far beyond the thresholds that these false-reject ratios give."""


@dataclass(frozen=True)
class CommandContext:
    """A command with all that its outcome depends on: its view as it is, the bank files there are, and the time."""

    command: Command
    state: BankState
    index: WindowIndex
    training: ViewTraining
    banks: Banks
    at: datetime
    builds: bool = False
    """Whether a build of the view runs or was asked for."""

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
        shadow=None,
        shadow_since=None,
        refused=None,
    )


def _roll_back(context: CommandContext) -> Transition:
    before = context.state.previous
    if before is None:
        raise NotPossible("there is no previous bank to go back to; `promote` takes any bank that is still kept")
    try:
        bank = _named(context, before.version)  # a bank whose file is gone would leave the view with none
    except NotPossible as refusal:
        raise NotPossible(f"{refusal}{_while_lost(context)}") from refusal
    return context.done(
        BankEventKind.ROLLED_BACK,
        Effect.POSTPONE,
        bank=bank,
        facts={"threshold": bank.threshold},
        state=ViewState.ACTIVE,
        active=bank,
        previous=context.state.active,
        candidate=None,
        shadow=None,
        shadow_since=None,
        refused=None,
    )


def _while_lost(context: CommandContext) -> str:
    """What happens to a view whose bank in force has lost its file, too."""
    if not lost(context.state, context.index):
        return ""
    return (
        "; the file of the bank in force is gone too, so a new bank is built from the frames that Kafka still has once "
        f"{context.training.first_build_frames} came ({context.index.seen} so far); running inspections keep the bank "
        "they have loaded"
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
        shadow_since=None,
        refused=None,
        candidate=None,
        pinned=None,
    )


def _pin(context: CommandContext) -> Transition:
    version = context.command.bank_version
    if version is None and context.state.active is None:
        raise NotPossible("no bank is in force: name the bank to pin")
    bank = context.state.active if version is None else _named(context, version)
    return context.done(BankEventKind.PINNED, bank=bank, pinned=bank.version if bank else None)


def _unpin(context: CommandContext) -> Transition:
    if context.state.pinned is None:
        raise NotPossible("no bank is pinned")
    return context.done(BankEventKind.UNPINNED, facts={"was": context.state.pinned}, pinned=None)


def _hold(context: CommandContext) -> Transition:
    if context.state.state is ViewState.HELD:
        raise NotPossible(f"it is held already, by {context.state.by}: {context.state.why}")
    if context.state.active is None:
        raise NotPossible("it has no bank in force that decisions could go on by")
    return context.done(BankEventKind.HELD, Effect.POSTPONE, bank=context.state.active, state=ViewState.HELD)


def _release(context: CommandContext) -> Transition:
    if context.state.state is not ViewState.HELD:
        raise NotPossible(f"it is not held, it is {context.state.state.value}")
    return context.done(BankEventKind.RELEASED, bank=context.state.active, state=ViewState.ACTIVE)


def _cancel_build(context: CommandContext) -> Transition:
    if not context.builds:
        raise NotPossible("no build of it runs or was asked for")
    return context.done(BankEventKind.BUILD_CANCELLED, Effect.POSTPONE)


def _set_threshold(context: CommandContext) -> Transition:
    """What is asked for goes into the state, so that the next bank keeps it, and into the threshold in force."""
    active, command = context.state.active, context.command
    if active is None:
        raise NotPossible("no bank is in force, so there is no threshold to set")
    if command.bank_version not in (None, active.version):
        raise NotPossible(
            f"the threshold is a distance of bank {str(command.bank_version)[:12]}, but in force is bank "
            f"{active.version[:12]}: see what it does to that one, and send it again"
        )
    asked = _asked(context, active)
    wanted = replace(context, state=context.state.model_copy(update=dict(asked)))
    bank = _with_limits(wanted, active, _wanted_threshold(wanted, active))
    _within_calibration(context, bank)
    facts: EventFacts = {
        "threshold": bank.threshold,
        "threshold_before": active.threshold,
        "false_reject_ratio": false_reject_ratio_of(wanted.state, context.training),
    }
    for name, limit in (("low_limit", bank.low_limit), ("high_limit", bank.high_limit)):
        if limit is not None:
            facts[name] = limit
    if command.by_settings:
        facts["by_settings"] = True
    return context.done(BankEventKind.THRESHOLD_CHANGED, Effect.NONE, bank=bank, facts=facts, active=bank, **asked)


def _within_calibration(context: CommandContext, bank: BankInForce) -> None:
    """Refuse limits that no calibration bears out: by them all frames would pass, or none would be decided."""
    ratios = (LOOSEST_RATIO, STRICTEST_RATIO)
    known = [context.banks.threshold(context.command.view, bank.version, ratio) for ratio in ratios]
    lowest, highest = min(known) / LIMIT_FACTOR, max(known) * LIMIT_FACTOR
    for name, limit in (("threshold", bank.threshold), ("low_limit", bank.low_limit), ("high_limit", bank.high_limit)):
        if limit is not None and not lowest <= limit <= highest:
            raise NotPossible(
                f"{name} {limit:.4g} is far from all that the bank's calibration knows: it must lie between "
                f"{lowest:.4g} and {highest:.4g}"
            )


def _asked(context: CommandContext, active: BankInForce) -> dict[str, object]:
    """The fields of the state that say what a person wants of every bank; a band that is not named stays."""
    command = context.command
    if command.by_settings:
        return {"false_reject_ratio": None, "undecided_band": None, "threshold_from": None}
    ratio = command.false_reject_ratio
    if ratio is None:
        ratio = context.banks.ratio(command.view, active.version, float(command.threshold or 0))
    asked: dict[str, object] = {"false_reject_ratio": ratio, "threshold_from": f"{command.who}: {command.why}"}
    if command.low_limit is not None or command.high_limit is not None:
        threshold = command.threshold or context.banks.threshold(command.view, active.version, ratio)
        low, high = command.low_limit or threshold, command.high_limit or threshold
        if not low <= threshold <= high:
            raise NotPossible(
                "low_limit <= threshold <= high_limit must hold, not "
                f"{command.low_limit} <= {threshold} <= {command.high_limit}"
            )
        asked["undecided_band"] = (low / threshold, high / threshold)
    return asked


def _wanted_threshold(context: CommandContext, active: BankInForce) -> float:
    """As it was sent, or what the bank's calibration gives for the ratio in force."""
    if context.command.threshold is not None:
        return context.command.threshold
    ratio = false_reject_ratio_of(context.state, context.training)
    return context.banks.threshold(context.command.view, active.version, ratio)


def _with_limits(context: CommandContext, active: BankInForce, threshold: float) -> BankInForce:
    """The bank with this threshold, and the limits that were sent, or else those of the band in force."""
    command = context.command
    limits = {"low_limit": command.low_limit, "high_limit": command.high_limit}
    bank = active.model_copy(update={"threshold": threshold, **limits})
    if any(limit is not None for limit in limits.values()):
        return bank
    return with_band(bank, undecided_band_of(context.state, context.training))


def _retire(context: CommandContext) -> Transition:
    """Of the state only remains what of commands and feedback is carried out."""
    if context.state.state is ViewState.RETIRED:
        raise NotPossible("it is retired already")
    return context.done(
        BankEventKind.RETIRED,
        Effect.RETIRE,
        state=ViewState.RETIRED,
        active=None,
        previous=None,
        shadow=None,
        shadow_since=None,
        refused=None,
        candidate=None,
        pinned=None,
        false_reject_ratio=None,
        undecided_band=None,
        threshold_from=None,
        annotations=(),
    )


_TRANSITIONS: dict[CommandKind, Callable[[CommandContext], Transition]] = {
    CommandKind.PROMOTE: _promote,
    CommandKind.ROLLBACK: _roll_back,
    CommandKind.REBUILD: _rebuild,
    CommandKind.RELEARN: _relearn,
    CommandKind.PIN: _pin,
    CommandKind.UNPIN: _unpin,
    CommandKind.HOLD: _hold,
    CommandKind.RELEASE: _release,
    CommandKind.CANCEL_BUILD: _cancel_build,
    CommandKind.RETIRE: _retire,
    CommandKind.SET_THRESHOLD: _set_threshold,
}


def failed_command(context: CommandContext, reason: str, *, offset: int) -> Transition:
    """The refusal of a command that fails whenever it is tried."""
    return _refused(replace(context, state=context.state.model_copy(update={"commands_through": offset + 1})), reason)


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
    """A bank that the store holds, with the threshold that its calibration gives for the ratio in force."""
    view, training = context.command.view, context.training
    stored = context.banks.bank(view, version)
    threshold = context.banks.threshold(view, version, false_reject_ratio_of(context.state, training))
    bank = stored.model_copy(update={"threshold": threshold})
    return with_band(bank, undecided_band_of(context.state, training))
