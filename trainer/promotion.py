"""What becomes of a bank that was built: functions of values, no clock, no files, no Kafka.

    built -> gate --refused--> the bank in force stays; where the line has changed, the view is held
                  --passed---> in force at once, or beside the bank in force (shadow) until a person or its time says so

A bank makes its view `provisional`, or `active` where it was built from a full window, the threshold's interval is
narrow enough (high / low at most `provisional_interval_ratio`) and no group of its window waits for a word; a group
that has waited for `review_hours` holds it up no longer. A person who puts a bank in force ends `provisional`, too. The
bank that makes a view active is its reference, unless a person has pinned one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, RefusedBank, ViewState
from softpatch.calibration.threshold import frames_needed, why_uncertain
from softpatch.gate.verdict import GateVerdict, judged
from trainer.annotations import found
from trainer.transition import TRAINER, EventFacts, Initiator, Transition, changed, event_of

if TYPE_CHECKING:
    from datetime import datetime

    from trainer.build_policy import BuiltBank
    from trainer.settings import ViewTraining


@dataclass(frozen=True)
class Examined:
    """What follows from a build, and what the gate said; None where the bank was not examined."""

    transition: Transition
    verdict: GateVerdict | None


def after_build(
    state: BankState, built: BuiltBank, initiator: Initiator, *, training: ViewTraining, at: datetime
) -> Examined:
    """The new bank is refused by the gate, promoted at once, or tried beside the bank in force.

    A bank that a person's word or command asked for is not tried first: the person waits for it.
    """
    candidate = changed(state, initiator, at, candidate=built.bank)
    event = event_of(candidate, BankEventKind.BUILT, initiator, bank=built.bank, facts=built.facts, at=at)
    verdict = None if built.measures is None or not training.gate.enabled else judged(built.measures, training.gate)
    if verdict is not None and not verdict.passed:
        then = _refused(candidate, state, built, verdict, initiator, at=at)
    elif training.promotion == "at_once" or state.active is None or built.replaces_lost or initiator.urgent:
        then = promote_candidate(candidate, built, initiator, training=training, at=at)
    else:
        then = _beside(candidate, state, built, initiator, training=training, at=at)
    return Examined(Transition(then.state, (event, *then.events)), verdict)


def promote_candidate(
    state: BankState, built: BuiltBank, initiator: Initiator, *, training: ViewTraining, at: datetime
) -> Transition:
    """The candidate comes into force."""
    certain = built.window_full and built.interval_ratio <= training.provisional_interval_ratio
    waiting = _waiting_groups(state, built, training, at=at)
    settled = (certain and not waiting) or (state.state is ViewState.ACTIVE and not built.replaces_lost)
    doubt: dict[str, str | int] = {} if settled else _doubt(built, training, waiting=waiting)
    pinned = state.pinned or (built.bank.version if settled and state.state is not ViewState.ACTIVE else None)
    promoted = changed(
        state,
        initiator,
        at,
        epoch=state.epoch,  # candidate and promotion are one change
        state=ViewState.ACTIVE if settled else ViewState.PROVISIONAL,
        **doubt,
        active=built.bank,
        previous=state.active or state.previous,
        candidate=None,
        shadow=None,
        shadow_since=None,
        refused=None,
        pinned=pinned,
    )
    facts: EventFacts = {
        "threshold": built.bank.threshold,
        "interval_ratio": built.interval_ratio,
        "provisional": not settled,
        **doubt,
    }
    if pinned != state.pinned:
        facts["pinned"] = True
    return Transition(
        promoted, (event_of(promoted, BankEventKind.PROMOTED, initiator, bank=built.bank, facts=facts, at=at),)
    )


def refusal_facts(verdict: GateVerdict) -> EventFacts:
    """Which bounds are broken, by how much, and frames that show it: as the event, and the metric, name them."""
    facts: EventFacts = {"bounds": " ".join(each.bound for each in verdict.breaches)}
    for each in verdict.breaches:
        facts |= {each.bound: round(each.value, 4), f"{each.bound}_limit": each.limit}
    if examples := [name for each in verdict.breaches for name in each.examples]:
        facts["examples"] = " ".join(dict.fromkeys(examples))
    return facts


def _refused(
    candidate: BankState,
    before: BankState,
    built: BuiltBank,
    verdict: GateVerdict,
    initiator: Initiator,
    *,
    at: datetime,
) -> Transition:
    """The bank in force stays, and its verdicts count as before; a line that has changed is held."""
    why = f"the gate refused it: {verdict.sentence}"
    gate = Initiator(TRAINER, why, initiator.command_id)
    kept: dict[str, object] = {
        "candidate": before.candidate,
        "refused": RefusedBank(version=built.bank.version, why=why, at=at),
    }
    hold = verdict.line_changed and before.active is not None
    if hold:
        kept |= {"state": ViewState.HELD, "candidate": None, "shadow": None, "shadow_since": None}
    elif before.state is ViewState.PROVISIONAL:
        kept |= {"provisional_because": before.provisional_because, "frames_needed": before.frames_needed}
    state = changed(candidate, gate, at, epoch=candidate.epoch, **kept)
    events = [
        event_of(state, BankEventKind.REFUSED, gate, bank=built.bank, facts=refusal_facts(verdict), at=at),
    ]
    if hold:
        events.append(event_of(state, BankEventKind.HELD, Initiator(TRAINER, HELD_WHY), bank=state.active, at=at))
    return Transition(state, tuple(events))


HELD_WHY = (
    "most of the window fails by the bank in force: nothing is learnt until a person decides; patchline relearn learns "
    "the line as it is now, patchline release goes on with the bank in force"
)


def _beside(
    candidate: BankState,
    before: BankState,
    built: BuiltBank,
    initiator: Initiator,
    *,
    training: ViewTraining,
    at: datetime,
) -> Transition:
    """The candidate scores beside the bank in force; one that did so before makes room."""
    state = changed(
        candidate,
        initiator,
        at,
        epoch=candidate.epoch,
        provisional_because=before.provisional_because,
        frames_needed=before.frames_needed,
        shadow=built.bank,
        shadow_since=at,
    )
    how = "a person puts it in force" if training.promotion == "by_person" else "it has scored enough frames"
    why = f"it keeps every bound of the gate, and scores beside the bank in force until {how}"
    gate = Initiator(TRAINER, why, initiator.command_id)
    facts: EventFacts = {"shadow": True}
    if before.candidate is not None:
        facts["replaces"] = before.candidate.version
    return Transition(state, (event_of(state, BankEventKind.GATED, gate, bank=built.bank, facts=facts, at=at),))


def _waiting_groups(state: BankState, built: BuiltBank, training: ViewTraining, *, at: datetime) -> int:
    """Groups of the bank's window that wait for a word, and have not waited for too long."""
    patience = timedelta(hours=training.review_hours)
    waiting = 0
    for group in built.groups:
        known = found(state.annotations, group.id)
        fresh = known is None or at - known.found_at < patience
        waiting += group.label == "open" and group.frames > 0 and fresh
    return waiting


def _doubt(built: BuiltBank, training: ViewTraining, *, waiting: int) -> dict[str, str | int]:
    """Why a bank leaves its view provisional, and about how many frames it still needs: fields of state and event."""
    limit = training.provisional_interval_ratio
    wide = why_uncertain(built.threshold, frames=built.frames, interval_ratio_limit=limit)
    needed = frames_needed(built.threshold, frames=built.frames, interval_ratio_limit=limit)
    reasons = [] if wide is None else [wide]
    if not built.window_full:
        reasons.insert(0, f"the bank was built from {built.frames} frames, a full window has {training.window_frames}")
        needed = max(needed, training.window_frames - built.frames)
    if waiting:
        reasons.append(f"{'a group waits' if waiting == 1 else f'{waiting} groups wait'} for a person's word")
    return {"provisional_because": "; ".join(reasons), "frames_needed": needed}
