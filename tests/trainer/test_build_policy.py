"""When a view builds, and what becomes of its state after a build."""

from __future__ import annotations

import pytest

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from softpatch.images.regions import InspectedRegions
from softpatch.manifest import Threshold
from tests.trainer.views import AT, GRAPH, LATER, VIEW, bank, state, window
from trainer.build_policy import (
    BuiltBank,
    after_bank_lost,
    after_failed_build,
    after_stopped_build,
    build_due,
    opened,
)
from trainer.promotion import after_build
from trainer.settings import ViewTraining
from trainer.transition import Effect, Initiator
from trainer.window import BuildRequest, LastBuild, WindowIndex

TRAINING = ViewTraining(first_build_frames=30, rebuild_every_frames=100, window_frames=50)
SCHEDULE = Initiator("trainer", "by schedule")
ASKED = BuildRequest(command_id="c-1", who="ana", why="new lamp")
LEARNING = state(ViewState.LEARNING)
OK_AT_30 = LastBuild(seen=30, failed=False)
OK_AT_60 = LastBuild(seen=60, failed=False)
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
        pytest.param(window(50, seen=159, last_build=OK_AT_60), state(), None, id="one frame short of a rebuild"),
        pytest.param(
            window(50, seen=160, last_build=OK_AT_60),
            state(),
            "by schedule: 100 frames since the last build",
            id="the rebuild",
        ),
        pytest.param(window(50, seen=160, last_build=OK_AT_60), state(ViewState.HELD), None, id="held"),
        pytest.param(window(29, lost_bank="a" * 64), state(), None, id="lost, one frame short of the first build"),
        pytest.param(
            window(30, lost_bank="a" * 64),
            state(),
            "the file of the bank in force is gone: 30 frames came",
            id="lost",
        ),
        pytest.param(window(30, lost_bank="b" * 64), state(), None, id="another one was lost"),
        pytest.param(
            window(50, seen=59, last_build=OK_AT_30),
            state(),
            None,
            id="not yet doubled",
        ),
        *(
            pytest.param(
                window(50, seen=60, last_build=OK_AT_30),
                state(kind),
                "the window was not full, and twice the frames came: 60",
                id=f"{kind.value}, doubled",
            )
            for kind in (ViewState.PROVISIONAL, ViewState.ACTIVE)
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


LAMP = InspectedRegions(ignore=(((585, 25), (615, 25), (615, 55)),))


@pytest.mark.parametrize(
    ("last", "change", "why"),
    [
        (OK_AT_60, {"regions": LAMP}, "the regions to inspect or to ignore were changed in the settings"),
        (FAILED_AT_30, {"regions": LAMP}, "the regions to inspect or to ignore were changed in the settings"),
        (OK_AT_60, {"bit_depth": 12}, "bit_depth was changed in the settings from auto to 12"),
        (LastBuild(seen=60, failed=False, regions=LAMP, bit_depth=12), {"regions": LAMP, "bit_depth": 12}, None),
        (LastBuild(seen=60, failed=True, regions=LAMP), {"regions": LAMP}, None),
    ],
)
def test_changed_regions_or_bits_build_at_once(last: LastBuild, change: dict[str, object], why: str | None) -> None:
    """With the reason, once: also after a build that failed by what was changed, and not while the view is held."""
    training = TRAINING.model_copy(update={"build": TRAINING.build.model_copy(update=change)})
    index = window(50, seen=100, last_build=last)
    initiator = build_due(index, state(), training, graph_hash=GRAPH)
    assert (initiator and initiator.why) == why
    assert build_due(index, state(ViewState.HELD), training, graph_hash=GRAPH) is None
    if initiator is not None:
        built = window(50, seen=100, last_build=LastBuild.of(training.build, seen=100, failed=True))
        assert build_due(built, state(), training, graph_hash=GRAPH) is None


def test_a_view_opens_as_learning() -> None:
    """Before its first bank every frame is undecided."""
    first = opened(VIEW, at=AT)
    assert (first.state, first.epoch, first.active, first.commands_through) == (ViewState.LEARNING, 0, None, 0)


@pytest.mark.parametrize(
    ("before", "high", "full", "expected"),
    [
        (LEARNING, 3.0, True, ViewState.PROVISIONAL),
        (LEARNING, 2.4, True, ViewState.ACTIVE),
        (LEARNING, 2.4, False, ViewState.PROVISIONAL),
        (state(ViewState.PROVISIONAL), 3.0, True, ViewState.PROVISIONAL),
        (state(ViewState.PROVISIONAL), 2.4, True, ViewState.ACTIVE),
        (state(ViewState.PROVISIONAL), 2.4, False, ViewState.PROVISIONAL),
        (state(ViewState.ACTIVE), 3.0, False, ViewState.ACTIVE),
    ],
)
def test_provisional_ends_with_a_full_window_and_a_narrow_interval_and_does_not_come_back(
    before: BankState, high: float, expected: ViewState, *, full: bool
) -> None:
    """The interval is 2 to `high`, the limit a ratio of 1.25.

    A bank of 30 frames whose interval happened to be narrow was `active` at once, and missed 42 of 127 defects.
    """
    built = BuiltBank(bank("c"), suggested(high), 30, window_full=full)
    after = after_build(before, built, SCHEDULE, training=TRAINING, at=LATER).transition.state
    assert after is not None
    assert after.state is expected
    assert (after.provisional_because is not None) is (expected is ViewState.PROVISIONAL)


def test_a_bank_that_stands_in_for_a_lost_one_is_provisional_again() -> None:
    """It is built as a first bank is, though the view was active."""
    built = BuiltBank(bank("c"), suggested(2.4), 30, replaces_lost=True)
    after = after_build(state(), built, SCHEDULE, training=TRAINING, at=LATER).transition.state
    assert after is not None
    assert (after.state, after.active) == (ViewState.PROVISIONAL, bank("c"))


@pytest.mark.parametrize(
    ("high", "full", "needed", "because"),
    [
        (2.4, False, 20, "the bank was built from 30 frames, a full window has 50"),
        (3.0, False, 70, "the bank was built from 30 frames, a full window has 50; the threshold for"),
        (3.0, True, 70, "the threshold for"),
    ],
)
def test_a_provisional_view_says_why_and_how_many_frames_it_needs(
    high: float, needed: int, because: str, *, full: bool
) -> None:
    """In its state and in the event of the promotion: log 1.5 / log 1.25 is 1.817, its square 3.302: 2.302 x 30."""
    built = BuiltBank(bank("c"), suggested(high), 30, window_full=full)
    transition = after_build(LEARNING, built, SCHEDULE, training=TRAINING, at=LATER).transition
    assert transition.state is not None
    assert transition.state.frames_needed == needed
    assert transition.state.provisional_because is not None
    assert transition.state.provisional_because.startswith(because)
    assert ("about 70 more frames are needed" in transition.state.provisional_because) is (high > 2.4)
    facts = transition.events[1].facts
    assert (facts["provisional_because"], facts["frames_needed"]) == (transition.state.provisional_because, needed)


@pytest.mark.parametrize(
    ("left", "effect", "why"),
    [
        (29, Effect.READ_AGAIN, "a new one is built from the frames that Kafka still has"),
        (30, Effect.KEEP_WINDOW, "a new one is built from the window"),
    ],
)
def test_a_lost_bank_is_told_and_its_state_stays(left: int, effect: Effect, why: str) -> None:
    """Where the window holds enough for a first bank, nothing has to be read again."""
    transition = after_bank_lost(state(), window(left), TRAINING, at=LATER)
    (event,) = transition.events
    assert (transition.state, transition.effect) == (None, effect)
    assert (event.kind, event.bank_version, event.epoch) == (BankEventKind.BANK_LOST, "a" * 64, 7)
    assert event.why == f"the store has no file of the bank in force: {why}"
    assert event.facts == {"frames": left, "read_again": effect is Effect.READ_AGAIN}


def test_a_build_is_promoted_and_the_bank_before_it_kept() -> None:
    """One new epoch, two events in order, each with the bank and its figures."""
    built = BuiltBank(bank("c"), suggested(3.0), 30, {"patches": 4000})
    transition = after_build(
        state(), built, Initiator("ana", "new lamp", "c-1"), training=TRAINING, at=LATER
    ).transition
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
    built = BuiltBank(bank("c"), suggested(3.0), 30)
    after = after_build(before, built, SCHEDULE, training=TRAINING, at=LATER).transition.state
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
