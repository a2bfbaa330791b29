"""What commands do; every one has an event."""

from __future__ import annotations

from typing import Any

import pytest

from ingest.bank_event import BankEventKind
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.command import Command
from tests.trainer.views import AT, LATER, VIEW, bank, state, window
from trainer.commands import CommandContext, after_command
from trainer.settings import ViewTraining
from trainer.transition import Effect, NotPossible, Transition
from trainer.window import BuildRequest, WindowIndex

OFFSET = 40


class ThreeBanks:
    """The store holds banks `a`, `b` and `d`, and the calibration of each gives 100 times the ratio."""

    def bank(self, view: str, version: str) -> BankInForce:
        """One of the three, of our view."""
        if view != VIEW or version not in {"a" * 64, "b" * 64, "d" * 64}:
            raise NotPossible("the store has no such bank")
        return bank(version[0])

    def threshold(self, view: str, version: str, false_reject_ratio: float) -> float:  # noqa: ARG002 -- the Protocol's
        """100 times the ratio."""
        return 100 * false_reject_ratio

    def ratio(self, view: str, version: str, threshold: float) -> float:  # noqa: ARG002 -- the Protocol's
        """A hundredth of the threshold."""
        return threshold / 100


def command(kind: str, **sent: object) -> Command:
    """A command of Ana's."""
    whole: dict[str, Any] = {"id": "c-1", "view": VIEW, "kind": kind, "who": "ana", "why": "I say so", "at": AT}
    return Command.model_validate(whole | sent)


def context(
    sent: Command, before: BankState, index: WindowIndex | None = None, training: ViewTraining | None = None
) -> CommandContext:
    """A command to the view in this state."""
    return CommandContext(sent, before, index or window(50), training or ViewTraining(), ThreeBanks(), LATER)


def transition_of(sent: Command, before: BankState, index: WindowIndex | None = None) -> Transition:
    """What the command at offset 40 brings."""
    transition = after_command(context(sent, before, index), offset=OFFSET)
    assert transition is not None
    return transition


def banded(digit: str, low: float, threshold: float, high: float) -> BankInForce:
    """A bank with limits."""
    return bank(digit, threshold=threshold).model_copy(update={"low_limit": low, "high_limit": high})


D = "d" * 64
WORD = {"false_reject_ratio": 0.03, "threshold_from": "ana: I say so"}
THRESHOLD = {"active": bank("a", threshold=3.0), **WORD}
RELEARNT = {"state": ViewState.LEARNING, "active": None, "previous": bank("a"), "pinned": None}


@pytest.mark.parametrize(
    ("sent", "before", "changes", "event", "effect"),
    [
        pytest.param(
            command("promote", bank_version=D),
            state(),
            {"active": bank("d"), "previous": bank("a")},
            BankEventKind.PROMOTED,
            Effect.POSTPONE,
            id="promote a bank of the store",
        ),
        pytest.param(
            command("promote", bank_version="b" * 64),
            state(previous=bank("b", threshold=9.0)),
            {"active": bank("b"), "previous": bank("a")},
            BankEventKind.PROMOTED,
            Effect.POSTPONE,
            id="promote the previous bank, with the threshold for the ratio in force",
        ),
        pytest.param(
            command("promote", bank_version=D),
            state(**WORD, undecided_band=(0.5, 2.0)),
            {"active": banded("d", 1.5, 3.0, 6.0), "previous": bank("a")},
            BankEventKind.PROMOTED,
            Effect.POSTPONE,
            id="promote a bank, with the ratio and the band that a person asked for",
        ),
        pytest.param(
            command("rollback"),
            state(**WORD),
            {"active": bank("b", threshold=3.0), "previous": bank("a")},
            BankEventKind.ROLLED_BACK,
            Effect.POSTPONE,
            id="roll back, with the ratio that a person asked for",
        ),
        pytest.param(
            command("relearn"),
            state(**WORD, undecided_band=(0.5, 2.0)),
            {"state": ViewState.LEARNING, "active": None, "previous": bank("a")},
            BankEventKind.RELEARNING,
            Effect.FORGET,
            id="relearn, and keep what a person asked for",
        ),
        pytest.param(
            command("set_threshold", by_settings=True),
            state(active=bank("a", threshold=9.0), undecided_band=(0.5, 2.0), **WORD),
            {"active": bank("a"), "false_reject_ratio": None, "threshold_from": None, "undecided_band": None},
            BankEventKind.THRESHOLD_CHANGED,
            Effect.NONE,
            id="by the settings again",
        ),
        pytest.param(
            command("set_threshold", threshold=4.0, low_limit=3.0),
            state(),
            {
                "active": bank("a", threshold=4.0).model_copy(update={"low_limit": 3.0}),
                "false_reject_ratio": 0.04,
                "undecided_band": (0.75, 1.0),
                "threshold_from": "ana: I say so",
            },
            BankEventKind.THRESHOLD_CHANGED,
            Effect.NONE,
            id="limits are kept as shares of the threshold",
        ),
        pytest.param(
            command("promote", bank_version=D),
            state(ViewState.HELD),
            {"state": ViewState.ACTIVE, "active": bank("d"), "previous": bank("a")},
            BankEventKind.PROMOTED,
            Effect.POSTPONE,
            id="promote ends a hold",
        ),
        pytest.param(
            command("rollback"),
            state(ViewState.PROVISIONAL),
            {"state": ViewState.ACTIVE, "active": bank("b"), "previous": bank("a")},
            BankEventKind.ROLLED_BACK,
            Effect.POSTPONE,
            id="roll back",
        ),
        pytest.param(
            command("rollback"),
            state(ViewState.LEARNING, previous=bank("b")),
            {"state": ViewState.ACTIVE, "active": bank("b"), "previous": None},
            BankEventKind.ROLLED_BACK,
            Effect.POSTPONE,
            id="roll back a relearning",
        ),
        pytest.param(
            command("relearn"), state(pinned=D), RELEARNT, BankEventKind.RELEARNING, Effect.FORGET, id="relearn"
        ),
        pytest.param(
            command("pin"), state(), {"pinned": "a" * 64}, BankEventKind.PINNED, Effect.NONE, id="pin the active bank"
        ),
        pytest.param(
            command("pin", bank_version=D), state(), {"pinned": D}, BankEventKind.PINNED, Effect.NONE, id="pin a bank"
        ),
        pytest.param(
            command("set_threshold", threshold=3.0),
            state(),
            THRESHOLD,
            BankEventKind.THRESHOLD_CHANGED,
            Effect.NONE,
            id="set the threshold",
        ),
        pytest.param(
            command("set_threshold", false_reject_ratio=0.03),
            state(),
            THRESHOLD,
            BankEventKind.THRESHOLD_CHANGED,
            Effect.NONE,
            id="set the threshold by a ratio",
        ),
        pytest.param(
            command("set_threshold", threshold=3.0, bank_version="a" * 64),
            state(),
            THRESHOLD,
            BankEventKind.THRESHOLD_CHANGED,
            Effect.NONE,
            id="set the threshold of the bank in force",
        ),
        pytest.param(
            command("rebuild"),
            state(ViewState.HELD),
            {"state": ViewState.ACTIVE},
            None,
            Effect.BUILD,
            id="rebuild ends a hold; its event comes with the build",
        ),
    ],
)
def test_a_command_changes_the_state(
    sent: Command, before: BankState, changes: dict[str, object], event: BankEventKind | None, effect: Effect
) -> None:
    """One epoch on, by whom and why, carried out through this command, with its event."""
    transition = transition_of(sent, before)
    common = {"epoch": 8, "by": "ana", "why": "I say so", "at": LATER, "commands_through": OFFSET + 1}
    assert transition.state == BankState.model_validate({**dict(before), **common, **changes})
    assert [(each.kind, each.command_id, each.who, each.epoch) for each in transition.events] == (
        [] if event is None else [(event, "c-1", "ana", 8)]
    )
    assert transition.effect is effect


WAITING = BuildRequest(command_id="c-0", who="bob", why="new lamp")


@pytest.mark.parametrize(
    ("sent", "before", "index", "reason"),
    [
        (command("promote", bank_version="a" * 64), state(), None, "bank aaaaaaaaaaaa is in force already"),
        (command("promote", bank_version="e" * 64), state(), None, "the store has no such bank"),
        (
            command("rollback"),
            state(ViewState.LEARNING),
            None,
            "there is no previous bank to go back to; `promote` takes any bank that is still kept",
        ),
        (command("rebuild"), state(), window(5), "the window holds 5 frames, a build needs 6: wait for more"),
        (command("rebuild"), state(), window(50, build_request=WAITING), "a rebuild is waiting already: command c-0"),
        (command("pin"), state(ViewState.LEARNING), None, "no bank is in force: name the bank to pin"),
        (command("pin", bank_version="e" * 64), state(), None, "the store has no such bank"),
        (command("rollback"), state(previous=bank("e")), None, "the store has no such bank"),
        (command("promote", bank_version="e" * 64), state(previous=bank("e")), None, "the store has no such bank"),
        (
            command("set_threshold", threshold=1.0),
            state(ViewState.LEARNING),
            None,
            "no bank is in force, so there is no threshold to set",
        ),
        (
            command("set_threshold", threshold=1.0, low_limit=1.5),
            state(),
            None,
            "low_limit <= threshold <= high_limit must hold, not 1.5 <= 1.0 <= None",
        ),
        (
            command("set_threshold", threshold=1.0, bank_version="e" * 64),
            state(),
            None,
            (
                "the threshold is a distance of bank eeeeeeeeeeee, but in force is bank aaaaaaaaaaaa: see what it "
                "does to that one, and send it again"
            ),
        ),
    ],
)
def test_a_command_that_cannot_be_carried_out_is_refused_with_a_reason(
    sent: Command, before: BankState, index: WindowIndex | None, reason: str
) -> None:
    """Nothing changes but the place of the next command; the event tells who asked what, and why not."""
    transition = transition_of(sent, before, index)
    assert transition.state == before.model_copy(update={"epoch": 8, "at": LATER, "commands_through": OFFSET + 1})
    (event,) = transition.events
    assert (event.kind, event.who, event.why, event.command_id) == (
        BankEventKind.COMMAND_REFUSED,
        "ana",
        reason,
        "c-1",
    )
    assert event.facts == {"command": sent.kind.value, "requested_because": "I say so"}
    assert transition.effect is Effect.NONE


BANDED = ViewTraining(undecided_band=(0.5, 1.5))


@pytest.mark.parametrize(
    ("sent", "limits"),
    [
        (command("set_threshold", threshold=4.0), (2.0, 4.0, 6.0)),
        (command("set_threshold", false_reject_ratio=0.04), (2.0, 4.0, 6.0)),
        (command("set_threshold", threshold=4.0, low_limit=3.0), (3.0, 4.0, None)),
        (command("promote", bank_version=D), (1.0, 2.0, 3.0)),
    ],
)
def test_a_band_of_doubt_comes_with_a_bank_and_with_a_threshold(
    sent: Command, limits: tuple[float | None, float, float | None]
) -> None:
    """By the view's setting, unless the command says limits of its own."""
    transition = after_command(context(sent, state(), training=BANDED), offset=OFFSET)
    assert transition is not None
    assert transition.state is not None
    active = transition.state.active
    assert active is not None
    assert (active.low_limit, active.threshold, active.high_limit) == limits


def test_a_changed_threshold_is_told_with_who_when_and_why() -> None:
    """And from what to what, with the limits around it."""
    sent = command("set_threshold", false_reject_ratio=0.04)
    transition = after_command(context(sent, state(), training=BANDED), offset=OFFSET)
    assert transition is not None
    (event,) = transition.events
    assert (event.who, event.why, event.at, event.bank_version) == ("ana", "I say so", LATER, "a" * 64)
    assert event.facts == {
        "threshold": 4.0,
        "threshold_before": 2.0,
        "low_limit": 2.0,
        "high_limit": 6.0,
        "false_reject_ratio": 0.04,
    }


def test_the_event_of_a_word_given_back_says_so() -> None:
    """With the ratio that holds again: the view's own."""
    sent = command("set_threshold", by_settings=True)
    transition = after_command(context(sent, state(**WORD), training=ViewTraining(false_reject_ratio=0.05)), offset=40)
    assert transition is not None
    (event,) = transition.events
    assert event.facts == {
        "threshold": 5.0,
        "threshold_before": 2.0,
        "false_reject_ratio": 0.05,
        "by_settings": True,
    }


def test_what_made_a_view_provisional_goes_with_it() -> None:
    """A person who chooses a bank ends it."""
    before = state(ViewState.PROVISIONAL, provisional_because="30 frames say little", frames_needed=12)
    after = transition_of(command("rollback"), before).state
    assert after is not None
    assert (after.state, after.provisional_because, after.frames_needed) == (ViewState.ACTIVE, None, None)
    pinned = transition_of(command("pin"), before).state
    assert pinned is not None
    assert (pinned.provisional_because, pinned.frames_needed) == ("30 frames say little", 12)


def test_a_command_is_carried_out_once() -> None:
    """After a restart the topic is read whole again: what the state says is done is not done again."""
    assert after_command(context(command("rollback"), state(commands_through=OFFSET + 1)), offset=OFFSET) is None


def test_a_rebuild_is_asked_again_after_a_crash_before_its_state_was_written() -> None:
    """The window already remembers it; it is the same command, not a second one."""
    request = BuildRequest(command_id="c-1", who="ana", why="I say so")
    assert transition_of(command("rebuild"), state(), window(50, build_request=request)).effect is Effect.BUILD


def test_a_rollback_of_a_lost_bank_to_a_lost_bank_says_what_happens() -> None:
    """Nobody can be helped by a list that says there are no banks."""
    index = window(12, lost_bank="a" * 64)
    (event,) = transition_of(command("rollback"), state(previous=bank("e")), index).events
    assert event.kind is BankEventKind.COMMAND_REFUSED
    assert event.why == (
        "the store has no such bank; the file of the bank in force is gone too, so a new bank is built from the frames "
        "that Kafka still has once 30 came (12 so far); running inspections keep the bank they have loaded"
    )


def test_two_rollbacks_give_the_first_bank_again() -> None:
    """A rollback can be taken back."""
    once = transition_of(command("rollback"), state()).state
    assert once is not None
    twice = after_command(context(command("rollback", id="c-2"), once), offset=OFFSET + 1)
    assert twice is not None
    assert twice.state is not None
    assert (twice.state.active, twice.state.previous, twice.state.epoch) == (bank("a"), bank("b"), 9)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"threshold": 1e9}, "threshold 1e+09"),
        ({"threshold": 1e-9}, "threshold 1e-09"),
        ({"threshold": 4.0, "high_limit": 1e9}, "high_limit 1e+09"),
        ({"threshold": 4.0, "low_limit": 1e-9}, "low_limit 1e-09"),
    ],
)
def test_limits_that_would_blind_a_line_are_refused(sent: dict[str, float], named: str) -> None:
    """By the calibration 0.01 to 49 are thresholds: a writer of `commands` could let everything pass."""
    active = bank("a").model_copy(update={"threshold": 2.0})
    transition = after_command(context(command("set_threshold", **sent), state(active=active)), offset=7)
    assert transition is not None
    (event,) = transition.events
    assert event.kind is BankEventKind.COMMAND_REFUSED
    assert event.why == f"{named} is far from all that the bank's calibration knows: it must lie between 0.005 and 98"
    assert transition.state is not None
    assert transition.state.active == active
