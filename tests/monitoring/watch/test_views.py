"""Views followed by their decisions: once each, over bank swaps, within bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitoring.drift.bets import WATCHED
from monitoring.drift.diagnosis import DriftVerdict
from monitoring.watch.calibrations import Calibrations
from monitoring.watch.settings import WatchSettings
from monitoring.watch.views import Followed, FollowedView, Skipped, Views
from tests.monitoring.decisions import VIEW, decision
from tests.monitoring.drift.synthetic_streams import darker, frames
from tests.monitoring.watch.banks_in_store import calibrated_bank, decisions, state_of, state_record, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.bank_state import BankInForce
    from ingest.decision import Decision
    from ingest.store import FsspecStore
    from tests.monitoring.watch.conftest import HandClock


def nobody_tells(seconds: float) -> None:
    """What a calibration took is not asked here."""


class Watched:
    """One view of a plant, and what was results of each decision."""

    def __init__(self, store: FsspecStore, clock: HandClock, **settings: float) -> None:
        self.calibrations = Calibrations(store, read_banks=list, retry_seconds=10, clock=clock, on_read=nobody_tells)
        self.views = Views(self.calibrations, WatchSettings.model_validate(settings), clock=clock)

    def put_in_force(self, active: BankInForce, *, previous: BankInForce | None = None) -> None:
        """What `banks` says of the view from now on."""
        self.calibrations.take([state_record(state_of(active, previous=previous))])

    def take(self, results: Iterable[Decision], *, partition: int = 0) -> list[Followed | Skipped]:
        """Decisions of whatever view."""
        return [self.views.take(one, self.views.opened(one.view, partition)) for one in results]

    def view(self) -> FollowedView:
        """The view as it is."""
        return self.views.opened(VIEW, 0)

    def seen(self) -> int:
        """Frames followed under the bank in force."""
        standing = self.view().drift
        return 0 if standing is None else standing.following.seen


@pytest.fixture
def bank(store: FsspecStore) -> BankInForce:
    """A bank of the line in the store."""
    return stored(store, calibrated_bank(0))


@pytest.fixture
def watched(store: FsspecStore, clock: HandClock, bank: BankInForce) -> Watched:
    """A view whose bank is in force."""
    made = Watched(store, clock)
    made.put_in_force(bank)
    return made


def a_line(seed: int, count: int, change: Callable[..., object] | None = None) -> list:
    """Frames of the line, perhaps changed."""
    drawn = frames(np.random.default_rng(seed), count)
    return [one if change is None else change(one) for one in drawn]


def test_a_knocked_lamp_is_told_and_its_repair_ends_it(watched: Watched, bank: BankInForce) -> None:
    """Quiet for 200 decisions, an episode within 50 dark ones, over within 200 good ones."""
    results = watched.take(decisions(a_line(1, 200), bank))
    assert all(isinstance(one, Followed) and one.after is None for one in results)
    watched.take(decisions(a_line(2, 50, darker), bank, first=200))
    episode = watched.view().episode
    assert episode is not None
    assert episode.verdict is DriftVerdict.DARKER
    watched.take(decisions(a_line(3, 200), bank, first=250))
    assert watched.view().episode is None


def test_a_decision_told_again_changes_nothing(watched: Watched, bank: BankInForce) -> None:
    """By its id, whatever else of it differs, and by `duplicate_of`, however long ago the first was."""
    results = decisions(a_line(1, 30), bank)
    watched.take(results)
    before = watched.view().drift
    again = [one.model_copy(update={"score": 99.0, "score_ratio": 3.3}) for one in results]
    repeated = decision(frame_id="of-long-ago", version=bank.version).model_copy(
        update={"duplicate_of": results[0].source}
    )
    assert watched.take([*again, repeated]) == [Skipped("repeated")] * 31
    assert watched.view().drift is before
    assert watched.seen() == 30


def test_reading_the_same_decisions_again_gives_the_same_state(
    store: FsspecStore, clock: HandClock, bank: BankInForce
) -> None:
    """What a restart rests on: the state follows from the decisions alone, an open episode included."""
    results = decisions([*a_line(1, 100), *a_line(2, 40, darker)], bank)
    states = []
    for stream in (results, [*results, *results], results[:60] + results[30:]):
        one = Watched(store, clock)
        one.put_in_force(bank)
        one.take(stream)
        standing = one.view().drift
        assert standing is not None
        states.append(standing.following)
    assert {(one.seen, one.episode) for one in states} == {(140, states[0].episode)}
    assert states[0].episode is not None
    for one in states[1:]:
        assert one.evidence.strength.tolist() == states[0].evidence.strength.tolist()
        assert one.past.scores.tolist() == states[0].past.scores.tolist()


def test_a_new_bank_starts_the_view_anew_and_raises_no_alarm(
    store: FsspecStore, watched: Watched, bank: BankInForce
) -> None:
    """The light stayed darker and the next bank has learnt it: the episode is void, and nothing is wrong any more."""
    watched.take(decisions(a_line(2, 60, darker), bank))
    assert watched.view().episode is not None
    learnt = stored(store, calibrated_bank(5, gain=0.85))
    watched.put_in_force(learnt, previous=bank)
    dark = [
        replace(one, sketch=other.sketch) for one, other in zip(a_line(6, 200, darker), a_line(6, 200), strict=True)
    ]
    results = watched.take(decisions(dark, learnt, start="later"))
    assert isinstance(results[0], Followed)
    assert results[0].first
    assert results[0].before is not None
    assert [one.after for one in results if isinstance(one, Followed)] == [None] * 200
    assert watched.seen() == 200


def test_decisions_by_the_bank_before_are_held_against_that_bank(
    store: FsspecStore, watched: Watched, bank: BankInForce
) -> None:
    """`banks` may be read ahead of `decisions`: the last ones of the old bank are still its own."""
    watched.put_in_force(stored(store, calibrated_bank(5, gain=0.7)), previous=bank)
    results = watched.take(decisions(a_line(1, 100), bank))
    assert all(isinstance(one, Followed) and one.after is None for one in results)


def test_another_threshold_keeps_what_is_known(watched: Watched, bank: BankInForce) -> None:
    """A person moved the threshold: same bank, same past, and rejects are counted against the new one."""
    watched.take(decisions(a_line(1, 50), bank))
    moved = bank.model_copy(update={"threshold": 24.0})
    watched.take(decisions(a_line(2, 50), moved, first=50))
    standing = watched.view().drift
    assert standing is not None
    assert (standing.following.seen, standing.baseline.reference.threshold) == (100, 24.0)


def test_nothing_is_said_of_what_cannot_be_compared(watched: Watched, bank: BankInForce) -> None:
    """A frame without a score, and one decided by a bank that nobody has: each skipped by its reason."""
    learning = decision(frame_id="a", version=bank.version).model_copy(update={"score": None})
    nobodys = decision(frame_id="b", version="f" * 64)
    assert watched.take([learning, nobodys]) == [Skipped("not_measured"), Skipped("no_calibration")]
    assert watched.view().drift is None


def test_a_verdict_under_a_bank_that_is_gone_does_not_stay(watched: Watched, bank: BankInForce) -> None:
    """Dark under the old bank; the new one's calibration cannot be had, so nothing is known."""
    watched.take(decisions(a_line(2, 60, darker), bank))
    watched.take([decision(frame_id="b", version="f" * 64)])
    assert watched.view().episode is None


def test_views_are_told_apart(watched: Watched, store: FsspecStore, bank: BankInForce) -> None:
    """Two products on one camera: each has its own bank and state, and their numbers interleave without a gap."""
    other = "line-1/top@gasket"
    theirs = stored(store, calibrated_bank(7, view=other))
    watched.calibrations.take([state_record(state_of(theirs, view=other))])
    ours = decisions(a_line(1, 300), bank)
    their_own = decisions(a_line(8, 300), theirs, view=other)
    mixed = [ours[n] if n % 2 else their_own[n] for n in range(300)]
    results = watched.take(mixed)
    assert all(isinstance(one, Followed) and one.after is None for one in results)
    assert watched.seen() == 150


def test_frames_missing_before_a_decision_without_a_score_are_not_lost(watched: Watched, bank: BankInForce) -> None:
    """They count with the next measured one, once: the bet on gaps sees them."""
    first, unscored, third, fourth = (
        decision(frame_id=f"run-{number}", sequence=number, version=bank.version, threshold=bank.threshold)
        for number in (0, 8, 9, 10)
    )
    results = watched.take([first, unscored.model_copy(update={"sketch": None}), third, fourth])
    assert results[1] == Skipped("not_measured")
    standing = watched.view().drift
    assert standing is not None
    assert standing.following.watched[:3, WATCHED.index("gap")].tolist() == [0, 7, 0]


def test_a_silent_view_is_forgotten_and_comes_back(watched: Watched, bank: BankInForce, clock: HandClock) -> None:
    """After an hour of silence nothing of it is kept; its next decision begins anew."""
    watched.take(decisions(a_line(1, 30), bank))
    clock.seconds = 3599
    assert watched.views.forget() == []
    clock.seconds = 3601
    assert [view.name for view in watched.views.forget()] == [VIEW]
    assert list(watched.views) == []
    watched.take(decisions(a_line(2, 5), bank, first=30))
    assert watched.seen() == 5


def test_the_longest_silent_view_gives_way(store: FsspecStore, clock: HandClock) -> None:
    """Memory is bounded by `views`, however many there are."""
    watched = Watched(store, clock, views=3)
    for name in ("l/a", "l/b", "l/c", "l/a", "l/d", "l/e"):
        clock.seconds += 1
        watched.take([decision(frame_id=str(clock.seconds), view=name)])
    assert [view.name for view in watched.views.forget()] == ["l/b", "l/c"]
    assert [view.name for view in watched.views] == ["l/a", "l/d", "l/e"]


def test_only_so_many_ids_are_remembered(store: FsspecStore, clock: HandClock, bank: BankInForce) -> None:
    """The last ones, of each partition."""
    watched = Watched(store, clock, remembered_decisions=10)
    watched.put_in_force(bank)
    results = decisions(a_line(1, 20), bank)
    watched.take(results)
    assert watched.take([results[-10]]) == [Skipped("repeated")]
    assert isinstance(watched.take([results[9]])[0], Followed)


def test_a_partition_that_others_follow_leaves_nothing(watched: Watched, bank: BankInForce) -> None:
    """Its views go, the others stay."""
    watched.take(decisions(a_line(1, 5), bank))
    watched.take([decision(frame_id="x", view="l/other")], partition=4)
    assert [view.name for view in watched.views.revoked([0])] == [VIEW]
    assert [view.name for view in watched.views] == ["l/other"]
