"""What becomes of a bank that was built: refused, held, tried in shadow, promoted; and when a view is active."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.annotation import FrameAnnotation, Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from softpatch.gate.measures import GateMeasures
from softpatch.manifest import GroupRecord
from tests.trainer.test_build_policy import suggested
from tests.trainer.views import AT, LATER, bank, state
from trainer.build_policy import BuiltBank
from trainer.promotion import Examined, after_build
from trainer.settings import PromotionPolicy, ViewTraining
from trainer.transition import Initiator

SCHEDULE = Initiator("trainer", "by schedule")
URGENT = Initiator("ana", "escaped", "w-1", urgent=True)
FINE = GateMeasures(frames=50, noise_estimate=0.0, coverage=1.0)
CHURN = FINE.model_copy(update={"verdict_churn": 0.4, "examples": {"verdict_churn": ["0-3", "0-5"]}})
CHANGED = FINE.model_copy(
    update={"line_changed": 0.8, "failing": ["0-1", "0-2"], "examples": {"line_changed": ["0-2"]}}
)
LEARNING = state(ViewState.LEARNING)
CERTAIN = BuiltBank(bank("c"), suggested(2.4), 400, window_full=True, measures=FINE)


def examined(
    before: BankState,
    measures: GateMeasures | None,
    initiator: Initiator = SCHEDULE,
    *,
    promotion: PromotionPolicy = "at_once",
    gate: dict[str, object] | None = None,
) -> Examined:
    """What follows from a build with these measures."""
    training = ViewTraining.model_validate({"promotion": promotion, "gate": gate or {}})
    built = BuiltBank(bank("c"), suggested(2.4), 400, window_full=True, measures=measures)
    return after_build(before, built, initiator, training=training, at=LATER)


def kinds(examination: Examined) -> list[str]:
    """Of its events, in order."""
    return [event.kind.value for event in examination.transition.events]


def test_a_bank_that_keeps_every_bound_comes_into_force_at_once() -> None:
    """As it always has."""
    passed = examined(state(), FINE)
    assert kinds(passed) == ["built", "promoted"]
    assert passed.verdict is not None
    assert passed.verdict.passed


def test_a_refused_bank_changes_nothing_and_says_which_bound_by_how_much() -> None:
    """The bank in force stays; the event has the figures, the limit and frames to look at."""
    refused = examined(state(), CHURN)
    after = refused.transition.state
    assert after is not None
    assert (after.state, after.active, after.previous, after.candidate) == (
        ViewState.ACTIVE,
        bank("a"),
        bank("b"),
        None,
    )
    assert after.refused is not None
    assert after.refused.version == "c" * 64
    assert kinds(refused) == ["built", "refused"]
    event = refused.transition.events[1]
    assert (event.bank_version, event.who) == ("c" * 64, "trainer")
    assert event.why == ("the gate refused it: 40 % of what it learnt are decided otherwise than until now, 20 % may")
    assert event.facts == {
        "bounds": "verdict_churn",
        "verdict_churn": 0.4,
        "verdict_churn_limit": 0.2,
        "examples": "0-3 0-5",
    }


def test_a_refused_rebuild_answers_the_command() -> None:
    """Whoever asked for it learns why there is no new bank in force."""
    refused = examined(state(), CHURN, Initiator("ana", "to see", "c-1"))
    assert [event.command_id for event in refused.transition.events] == ["c-1", "c-1"]


def test_a_provisional_view_stays_provisional_where_its_next_bank_is_refused() -> None:
    """With what is still missing, as of the bank in force."""
    before = state(ViewState.PROVISIONAL, provisional_because="too few frames", frames_needed=70)
    after = examined(before, CHURN).transition.state
    assert after is not None
    assert (after.state, after.provisional_because, after.frames_needed) == (
        ViewState.PROVISIONAL,
        "too few frames",
        70,
    )


def test_a_line_that_has_changed_is_held_and_never_learnt_unasked() -> None:
    """Not even where a person's word asked for the build."""
    for initiator in (SCHEDULE, URGENT):
        held = examined(state(), CHANGED, initiator)
        after = held.transition.state
        assert after is not None
        assert (after.state, after.active) == (ViewState.HELD, bank("a"))
        assert kinds(held) == ["built", "refused", "held"]
        assert "patchline relearn" in held.transition.events[2].why


@pytest.mark.parametrize("gate", [{"enabled": False}, {"verdict_churn": None}])
def test_the_gate_or_one_bound_may_be_switched_off(gate: dict[str, object]) -> None:
    """Then the bank comes into force."""
    assert kinds(examined(state(), CHURN, gate=gate)) == ["built", "promoted"]


def test_a_bank_that_was_not_examined_comes_into_force() -> None:
    """A build of a release without a gate, say."""
    assert examined(state(), None).verdict is None
    assert kinds(examined(state(), None)) == ["built", "promoted"]


@pytest.mark.parametrize("promotion", ["after_shadow", "by_person"])
def test_a_candidate_scores_in_shadow_where_the_view_asks_for_it(promotion: PromotionPolicy) -> None:
    """The bank in force goes on deciding; the event says what the candidate waits for."""
    tried = examined(state(candidate=bank("d")), FINE, promotion=promotion)
    after = tried.transition.state
    assert after is not None
    assert (after.active, after.shadow, after.candidate) == (bank("a"), bank("c"), bank("c"))
    assert (after.shadow_since, after.state) == (LATER, ViewState.ACTIVE)
    assert kinds(tried) == ["built", "gated"]
    assert tried.transition.events[1].facts == {"shadow": True, "replaces": "d" * 64}


def test_a_first_bank_and_a_bank_with_a_persons_word_are_not_tried_first() -> None:
    """There is nothing to score beside; and the person waits for it."""
    assert kinds(examined(LEARNING, FINE, promotion="by_person")) == ["built", "promoted"]
    assert kinds(examined(state(), FINE, URGENT, promotion="by_person")) == ["built", "promoted"]


def group(identity: str, label: str = "open", frames: int = 5) -> GroupRecord:
    """A group that a build found."""
    return GroupRecord.model_validate(
        {
            "id": identity,
            "label": label,
            "is_new": True,
            "frames": frames,
            "share": 0.1,
            "box_xyxy": (0, 0, 1, 1),
            "whole_frame": False,
            "examples": [],
            "members": [],
        }
    )


def annotated(identity: str, *, hours_ago: float) -> FrameAnnotation:
    """A group that was found so long before the build."""
    at = LATER - timedelta(hours=hours_ago)
    return FrameAnnotation(
        id=identity, label=Label.OPEN, origin="group", who="trainer", why="found", at=at, found_at=at
    )


@pytest.mark.parametrize(
    ("groups", "hours_ago", "expected"),
    [
        pytest.param((group("g1"),), 0, ViewState.PROVISIONAL, id="waits"),
        pytest.param((group("g2"),), 200, ViewState.PROVISIONAL, id="just found"),
        pytest.param((group("g1"),), 73, ViewState.ACTIVE, id="has waited for longer than review_hours"),
        pytest.param((group("g1", label="defect"),), 0, ViewState.ACTIVE, id="answered"),
        pytest.param((group("g1", frames=0),), 0, ViewState.ACTIVE, id="no frame of the window shows it"),
        pytest.param((), 0, ViewState.ACTIVE, id="none"),
    ],
)
def test_a_group_that_waits_keeps_a_view_provisional_for_a_while(
    groups: tuple[GroupRecord, ...], hours_ago: float, expected: ViewState
) -> None:
    """A first bank's dense minorities have to be looked at; a person who never comes does not hold it up for ever."""
    before = state(ViewState.PROVISIONAL, annotations=(annotated("g1", hours_ago=hours_ago),))
    built = BuiltBank(bank("c"), suggested(2.4), 400, groups=groups, window_full=True, measures=FINE)
    after = after_build(before, built, SCHEDULE, training=ViewTraining(), at=LATER).transition.state
    assert after is not None
    assert after.state is expected
    assert (after.provisional_because == "a group waits for a person's word") is (expected is ViewState.PROVISIONAL)


def test_the_bank_that_makes_a_view_active_is_its_reference() -> None:
    """Unless a person has pinned one; later banks do not move it, so that small steps are told."""
    first = after_build(LEARNING, CERTAIN, SCHEDULE, training=ViewTraining(), at=AT).transition
    assert first.state is not None
    assert (first.state.state, first.state.pinned) == (ViewState.ACTIVE, "c" * 64)
    assert first.events[1].facts["pinned"] is True
    chosen = after_build(
        state(ViewState.PROVISIONAL, pinned="e" * 64), CERTAIN, SCHEDULE, training=ViewTraining(), at=AT
    ).transition
    later = after_build(state(), CERTAIN, SCHEDULE, training=ViewTraining(), at=AT).transition
    assert chosen.state is not None
    assert later.state is not None
    assert (chosen.state.pinned, later.state.pinned) == ("e" * 64, None)
    assert later.events[1].kind is BankEventKind.PROMOTED
