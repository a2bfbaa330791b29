"""When a view builds, and what becomes of its state after a build."""

from __future__ import annotations

import pytest

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from softpatch.bank import Threshold
from tests.trainer.views import AT, GRAPH, LATER, VIEW, bank, state, window
from trainer.build_policy import BuiltBank, after_build, after_failed_build, after_stopped_build, build_due, opened
from trainer.settings import ViewTraining
from trainer.transition import Initiator
from trainer.window import BuildRequest, LastBuild, WindowIndex

TRAINING = ViewTraining(first_build_frames=30, rebuild_every_frames=100, window_frames=50)
SCHEDULE = Initiator("trainer", "by schedule")
ASKED = BuildRequest(command_id="c-1", who="ana", why="new lamp")
LEARNING = state(ViewState.LEARNING)
OK_AT_30 = LastBuild(seen=30, failed=False)
FAILED_AT_30 = LastBuild(seen=30, failed=True)


def suggested(high: float) -> Threshold:
    """A threshold of 2 whose interval reaches from there to `high`."""
    return Threshold(
        value=2.0,
        interval_low=2.0,
        interval_high=high,
        false_reject_ratio=0.02,
        false_reject_low=0.01,
        false_reject_high=0.03,
        rule="made up",
    )


@pytest.mark.parametrize(
    ("index", "view_state", "why"),
    [
        pytest.param(window(29), LEARNING, None, id="one frame short of the first build"),
        pytest.param(window(30), LEARNING, "the first bank: 30 frames came", id="the first build"),
        pytest.param(window(5, seen=30), LEARNING, None, id="too few frames are left to build from"),
        pytest.param(window(40, last_build=OK_AT_30), LEARNING, "the first bank: 40 frames came", id="bank was lost"),
        pytest.param(window(40, last_build=FAILED_AT_30), LEARNING, None, id="failed, little new since"),
        pytest.param(
            window(50, seen=60, last_build=FAILED_AT_30), LEARNING, "the first bank: 60 frames came", id="retry"
        ),
        pytest.param(window(50, seen=129, last_build=OK_AT_30), state(), None, id="one frame short of a rebuild"),
        pytest.param(
            window(50, seen=130, last_build=OK_AT_30),
            state(),
            "by schedule: 100 frames since the last build",
            id="the rebuild",
        ),
        pytest.param(window(50, seen=130, last_build=OK_AT_30), state(ViewState.HELD), None, id="held"),
        pytest.param(
            window(50, seen=59, last_build=OK_AT_30),
            state(ViewState.PROVISIONAL),
            None,
            id="provisional, not yet doubled",
        ),
        pytest.param(
            window(50, seen=60, last_build=OK_AT_30),
            state(ViewState.PROVISIONAL),
            "still provisional, and twice the frames came: 60",
            id="provisional, doubled",
        ),
        pytest.param(window(6, build_request=ASKED), state(), "new lamp", id="by command"),
        pytest.param(window(5, build_request=ASKED), state(), None, id="by command, but nothing to build from"),
        pytest.param(
            window(30, last_build=OK_AT_30),
            state(active=bank("a", graph_hash="1" * 64)),
            "the bank in force is of another backbone: 30 frames came",
            id="another backbone",
        ),
    ],
)
def test_a_view_builds_when_it_is_due(index: WindowIndex, view_state: BankState, why: str | None) -> None:
    """First after `first_build_frames`, again every `rebuild_every_frames`, and when it is asked to."""
    initiator = build_due(index, view_state, TRAINING, graph_hash=GRAPH)
    assert (initiator and initiator.why) == why


def test_a_view_opens_as_learning() -> None:
    """Before its first bank every frame is undecided."""
    first = opened(VIEW, at=AT)
    assert (first.state, first.epoch, first.active, first.commands_through) == (ViewState.LEARNING, 0, None, 0)


@pytest.mark.parametrize(
    ("before", "high", "expected"),
    [
        (LEARNING, 3.0, ViewState.PROVISIONAL),
        (LEARNING, 2.4, ViewState.ACTIVE),
        (state(ViewState.PROVISIONAL), 3.0, ViewState.PROVISIONAL),
        (state(ViewState.PROVISIONAL), 2.4, ViewState.ACTIVE),
        (state(ViewState.ACTIVE), 3.0, ViewState.ACTIVE),
    ],
)
def test_provisional_ends_with_a_narrow_interval_and_does_not_come_back(
    before: BankState, high: float, expected: ViewState
) -> None:
    """The interval is 2 to `high`, the limit a ratio of 1.25."""
    built = BuiltBank(bank("c"), suggested(high), 30)
    after = after_build(before, built, SCHEDULE, interval_ratio_limit=1.25, at=LATER).state
    assert after is not None
    assert after.state is expected
    assert (after.provisional_because is not None) is (expected is ViewState.PROVISIONAL)


def test_a_provisional_view_says_why_and_how_many_frames_it_needs() -> None:
    """In its state and in the event of the promotion: log 1.5 / log 1.25 is 1.817, its square 3.302: 2.302 x 30."""
    transition = after_build(
        LEARNING, BuiltBank(bank("c"), suggested(3.0), 30), SCHEDULE, interval_ratio_limit=1.25, at=LATER
    )
    assert transition.state is not None
    assert transition.state.frames_needed == 70
    assert transition.state.provisional_because is not None
    assert "about 70 more frames are needed" in transition.state.provisional_because
    facts = transition.events[1].facts
    assert (facts["provisional_because"], facts["frames_needed"]) == (transition.state.provisional_because, 70)


def test_a_build_is_promoted_and_the_bank_before_it_kept() -> None:
    """One new epoch, two events in order, each with the bank and its figures."""
    built = BuiltBank(bank("c"), suggested(3.0), 30, {"patches": 4000})
    transition = after_build(state(), built, Initiator("ana", "new lamp", "c-1"), interval_ratio_limit=1.25, at=LATER)
    assert transition.state == state(epoch=8, active=bank("c"), previous=bank("a"), by="ana", why="new lamp", at=LATER)
    assert [(event.kind, event.epoch, event.bank_version, event.command_id) for event in transition.events] == [
        (BankEventKind.BUILT, 8, "c" * 64, "c-1"),
        (BankEventKind.PROMOTED, 8, "c" * 64, "c-1"),
    ]
    assert transition.events[0].facts == {"patches": 4000}
    assert transition.events[1].facts == {"threshold": 2.0, "interval_ratio": 1.5, "provisional": False}


def test_a_view_that_was_learnt_anew_can_still_go_back() -> None:
    """The bank from before the relearning stays the previous one when the first new bank comes."""
    before = state(ViewState.LEARNING, previous=bank("b"))
    after = after_build(
        before, BuiltBank(bank("c"), suggested(3.0), 30), SCHEDULE, interval_ratio_limit=1.25, at=LATER
    ).state
    assert after is not None
    assert after.previous == bank("b")


def test_a_failed_build_changes_nothing_and_says_why() -> None:
    """The view goes on with the bank it has."""
    transition = after_failed_build(state(), "out of memory", Initiator("ana", "new lamp", "c-1"), at=LATER)
    (event,) = transition.events
    assert transition.state is None
    assert (event.kind, event.epoch, event.why, event.command_id) == (
        BankEventKind.BUILD_FAILED,
        7,
        "out of memory",
        "c-1",
    )
    assert event.facts == {"requested_because": "new lamp"}


def test_a_stopped_build_is_a_failed_one_that_says_so() -> None:
    """Its kind is one that readers of any age know: the history is kept for ever."""
    transition = after_stopped_build(
        state(), "stopped by rollback of ana", Initiator("bob", "new lamp", "c-1"), at=LATER
    )
    (event,) = transition.events
    assert (event.kind, event.who, event.command_id) == (BankEventKind.BUILD_FAILED, "bob", "c-1")
    assert event.facts == {"requested_because": "new lamp", "stopped": True}
