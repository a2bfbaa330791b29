"""When a view builds a bank, and what becomes of a build that gave none: functions of values, no clock, no files.

Every view builds again each time its frames have doubled, until its window is full, however certain its threshold is: a
bank of few frames misses defects that one of many frames finds. A held view learns nothing until a person releases it,
promotes, rolls back, rebuilds or relearns. A view whose bank in force has lost its file builds as one that has no bank.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from trainer.schedule import latest_time_ms
from trainer.transition import TRAINER, Effect, EventFacts, Initiator, Transition, changed, event_of
from trainer.window import lost

if TYPE_CHECKING:
    from softpatch.gate.measures import GateMeasures
    from softpatch.manifest import GroupRecord, Threshold
    from trainer.settings import ViewTraining
    from trainer.window import WindowIndex


@dataclass(frozen=True)
class BuiltBank:
    """What a build gave, and the threshold that its calibration on so many frames suggests."""

    bank: BankInForce
    threshold: Threshold
    frames: int
    facts: EventFacts = field(default_factory=dict)
    groups: tuple[GroupRecord, ...] = ()
    """What the build found in the window."""
    window_full: bool = False
    """Whether it was built from a full window."""
    replaces_lost: bool = False
    """Whether it stands in for a bank whose file is gone."""
    measures: GateMeasures | None = None
    """What the gate knows of it; None where it was not examined."""

    @property
    def interval_ratio(self) -> float:
        """How uncertain the threshold is: high over low."""
        return self.threshold.interval_high / self.threshold.interval_low


def opened(view: str, *, at: datetime) -> BankState:
    """The first state of a view."""
    return BankState(
        view=view, epoch=0, state=ViewState.LEARNING, by=TRAINER, why="the first frame of this view came", at=at
    )


def reopened(retired: BankState, *, at: datetime) -> BankState:
    """The state of a view that was retired and sends again."""
    return changed(retired, Initiator(TRAINER, "a frame of this view came again"), at, state=ViewState.LEARNING)


def build_due(index: WindowIndex, state: BankState, training: ViewTraining, *, graph_hash: str) -> Initiator | None:
    """Why this view should build a bank now; None while it should not."""
    if len(index.frames) < training.build.fewest_frames:
        return None
    if index.build_request is not None:
        request = index.build_request
        return Initiator(request.who, request.why, request.command_id, urgent=request.urgent)
    if state.state is ViewState.HELD:
        return None
    if index.last_build is not None and (outdated := index.last_build.outdated(training.build)):
        return Initiator(TRAINER, outdated)
    return None if _failed_lately(index, training) else _by_frames(index, state, training, graph_hash)


def after_failed_build(state: BankState, reason: str, initiator: Initiator, *, at: datetime) -> Transition:
    """The state stays; the event says why there is no new bank."""
    failed = Initiator(initiator.who, reason, initiator.command_id)
    facts: EventFacts = {"requested_because": initiator.why}
    return Transition(None, (event_of(state, BankEventKind.BUILD_FAILED, failed, facts=facts, at=at),))


def after_stopped_build(state: BankState, reason: str, initiator: Initiator, *, at: datetime) -> Transition:
    """A person wanted something else: it did not fail of itself, and the event's facts say so."""
    stopped = Initiator(initiator.who, reason, initiator.command_id)
    facts: EventFacts = {"requested_because": initiator.why, "stopped": True}
    return Transition(None, (event_of(state, BankEventKind.BUILD_FAILED, stopped, facts=facts, at=at),))


def after_bank_lost(state: BankState, index: WindowIndex, training: ViewTraining, *, at: datetime) -> Transition:
    """The state stays, and with it the bank that inspections have loaded, until a new one is built.

    Where the window has lost its frames, too (`index` names those that are left), they are read from Kafka again.
    """
    read_again = len(index.frames) < training.first_build_frames
    how = "the frames that Kafka still has" if read_again else "the window"
    finder = Initiator(TRAINER, f"the store has no file of the bank in force: a new one is built from {how}")
    facts: EventFacts = {"frames": len(index.frames), "read_again": read_again}
    event = event_of(state, BankEventKind.BANK_LOST, finder, bank=state.active, facts=facts, at=at)
    return Transition(None, (event,), Effect.READ_AGAIN if read_again else Effect.KEEP_WINDOW)


def _by_frames(index: WindowIndex, state: BankState, training: ViewTraining, graph_hash: str) -> Initiator | None:
    first = _why_first(index, state, graph_hash)
    if first is not None:
        return _at(index.seen, training.first_build_frames, f"{first}: {{}} frames came")
    return _again(index, training)


def _why_first(index: WindowIndex, state: BankState, graph_hash: str) -> str | None:
    """Why the view builds as one that has no bank; None where it goes on from the bank in force."""
    if state.active is None:
        return "the first bank"
    if lost(state, index):
        return "the file of the bank in force is gone"
    return None if state.active.graph_hash == graph_hash else "the bank in force is of another backbone"


def _again(index: WindowIndex, training: ViewTraining) -> Initiator | None:
    begun = 0 if index.last_build is None else index.last_build.seen
    if 0 < begun < training.window_frames and index.seen >= 2 * begun:
        return Initiator(TRAINER, f"the window was not full, and twice the frames came: {index.seen}")
    if (time := _time_of_build(index, training)) is not None:
        return Initiator(TRAINER, f"by schedule: {training.rebuild_at} ({time})")
    return _at(index.seen - begun, training.rebuild_every_frames, "by schedule: {} frames since the last build")


def _time_of_build(index: WindowIndex, training: ViewTraining) -> str | None:
    """The time of the line that a build was due at since the last one; None where none was."""
    if training.rebuild_at is None or index.last_build is None or index.last_build.at_ms is None:
        return None
    due_ms = latest_time_ms(training.rebuild_at, until_ms=index.newest_ms, time_zone=training.rebuild_time_zone)
    if not index.last_build.at_ms < due_ms <= index.newest_ms:
        return None
    return datetime.fromtimestamp(due_ms / 1000, ZoneInfo(training.rebuild_time_zone)).isoformat(timespec="minutes")


def _failed_lately(index: WindowIndex, training: ViewTraining) -> bool:
    """Whether the last build failed and there is little new to try again with."""
    last = index.last_build
    return last is not None and last.failed and index.seen < last.seen + training.first_build_frames


def _at(frames: int, needed: int, why: str) -> Initiator | None:
    return Initiator(TRAINER, why.format(frames)) if frames >= needed else None
