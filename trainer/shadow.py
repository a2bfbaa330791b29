"""What banks in shadow made of live frames, counted; and what follows for the view: functions of values.

A bank is tried until it has scored `shadow_frames` frames, or for `shadow_hours` and at least one frame. A flip is a
frame that the two banks decide otherwise, one a pass and the other a fail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ingest.bank_event import BankEventKind
from ingest.bank_state import RefusedBank, ViewState
from ingest.decision import Verdict
from trainer.promotion import promote_candidate
from trainer.transition import TRAINER, EventFacts, Initiator, Transition, changed, event_of

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.bank_state import BankState
    from ingest.decision import Decision
    from trainer.build_policy import BuiltBank
    from trainer.settings import ViewTraining

MOST_EXAMPLES = 8
BOUND = "shadow_flips"
"""What a refusal by this names, in event and metric."""


@dataclass(frozen=True)
class ShadowTally:
    """Frames that one bank scored in shadow: how many, and how many it decides otherwise than the bank in force."""

    version: str
    frames: int = 0
    now_fail: int = 0
    now_pass: int = 0
    examples: tuple[str, ...] = ()
    """Ids of the first frames that are decided otherwise."""

    def after(self, decision: Decision) -> ShadowTally:
        """The tally with one more decision; one of another bank, or beside none, does not count."""
        beside = decision.in_force
        if beside is None or decision.bank is None or decision.bank.version != self.version:
            return self
        now_fail = (beside.verdict, decision.verdict) == (Verdict.PASS, Verdict.FAIL)
        now_pass = (beside.verdict, decision.verdict) == (Verdict.FAIL, Verdict.PASS)
        examples = self.examples
        if (now_fail or now_pass) and len(examples) < MOST_EXAMPLES:
            examples = (*examples, decision.frame_id)
        return replace(
            self,
            frames=self.frames + 1,
            now_fail=self.now_fail + now_fail,
            now_pass=self.now_pass + now_pass,
            examples=examples,
        )

    @property
    def flip_ratio(self) -> float:
        """The share of its frames that are decided otherwise."""
        return (self.now_fail + self.now_pass) / max(self.frames, 1)

    @property
    def facts(self) -> EventFacts:
        """For the event of what follows."""
        facts: EventFacts = {
            "shadow_frames": self.frames,
            "now_fail": self.now_fail,
            "now_pass": self.now_pass,
        }
        return facts | ({"examples": " ".join(self.examples)} if self.examples else {})


def tried_enough(state: BankState, tally: ShadowTally, training: ViewTraining, *, at: datetime) -> bool:
    """Whether the bank in shadow has scored for as long as the view's settings ask."""
    if state.shadow is None or state.state is ViewState.HELD or tally.version != state.shadow.version:
        return False
    since = state.shadow_since or state.at
    late = at - since >= timedelta(hours=training.shadow_hours)
    return tally.frames >= training.shadow_frames or (late and tally.frames > 0)


def within_bounds(tally: ShadowTally, training: ViewTraining) -> bool:
    """Whether few enough frames are decided otherwise."""
    return tally.flip_ratio <= training.shadow_flip_ratio


def after_shadow(
    state: BankState, built: BuiltBank, tally: ShadowTally, training: ViewTraining, *, at: datetime
) -> Transition | None:
    """The bank comes into force, or is refused for its flips; None where a person is to decide."""
    if not within_bounds(tally, training):
        return _refused(state, tally, training, at=at)
    if training.promotion == "by_person":
        return None
    why = f"it scored {tally.frames} frames in shadow, {tally.now_fail + tally.now_pass} of them otherwise"
    initiator = Initiator(TRAINER, why)
    promoted = promote_candidate(changed(state, initiator, at), built, initiator, training=training, at=at)
    (event,) = promoted.events
    return replace(promoted, events=(event.model_copy(update={"facts": {**event.facts, **tally.facts}}),))


def _refused(state: BankState, tally: ShadowTally, training: ViewTraining, *, at: datetime) -> Transition:
    why = (
        f"in shadow it decided {100 * tally.flip_ratio:.0f} % of {tally.frames} frames otherwise than the bank in "
        f"force, {100 * training.shadow_flip_ratio:.0f} % may: {tally.now_fail} would fail, {tally.now_pass} would pass"
    )
    initiator = Initiator(TRAINER, why)
    shadow = state.shadow
    kept: dict[str, object] = {"provisional_because": state.provisional_because, "frames_needed": state.frames_needed}
    kept = kept if state.state is ViewState.PROVISIONAL else {}
    refused = RefusedBank(version=tally.version, why=why, at=at)
    after = changed(state, initiator, at, shadow=None, shadow_since=None, candidate=None, refused=refused, **kept)
    facts: EventFacts = {
        "bounds": BOUND,
        BOUND: round(tally.flip_ratio, 4),
        f"{BOUND}_limit": training.shadow_flip_ratio,
        **tally.facts,
    }
    return Transition(after, (event_of(after, BankEventKind.REFUSED, initiator, bank=shadow, facts=facts, at=at),))
