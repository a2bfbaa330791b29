"""What another threshold would have done: counts, shifts, and which verdicts would change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta, timezone
from time import tzset
from typing import TYPE_CHECKING

import pytest

from deploy.history.threshold_replay import KEPT_CHANGES, decided_again, threshold_replay
from inference.decide import Limits
from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, LineChange, Reason, Verdict, decision_id
from monitoring.shifts import BadShifts, hours_from, shift_of
from softpatch.images.input_faults import InputFault

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURS = hours_from("06:00,14:00,22:00")
PLAIN = Limits(threshold=2.0, low=2.0, high=2.0)


def decision(score: float | None, *, number: int = 0, at: datetime = AT, **fields: object) -> Decision:
    """A decision by a threshold of 1, unless it says otherwise."""
    common: dict[str, object] = {
        "id": decision_id("line/cam", str(number)),
        "view": "line/cam",
        "frame_id": str(number),
        "source": SourceRecord(topic="frames", partition=0, offset=number),
        "appended_at": at,
        "decided_at": at,
    }
    if score is None:
        return Decision.model_validate(common | {"verdict": Verdict.UNDECIDED, "reason": Reason.LEARNING} | fields)
    by_bank = {"bank": BankRef(version="a" * 64, epoch=1), "threshold": 1.0, "score_ratio": score, "score": score}
    verdict = {"verdict": Verdict.FAIL if score > 1 else Verdict.PASS}
    return Decision.model_validate(common | by_bank | verdict | fields)


def test_rejects_are_counted_per_shift_as_they_were_and_as_they_would_have_been() -> None:
    """Scores 0.5, 1.5 and 2.5 in two shifts, under a threshold of 2 in place of 1."""
    early, late = AT, AT + timedelta(hours=4)
    found = threshold_replay(
        [decision(score, number=n, at=at) for n, (score, at) in enumerate([(0.5, early), (1.5, early), (2.5, late)])],
        lambda _: PLAIN,
        hours=HOURS,
        zone=UTC,
    )
    assert [
        (begun.hour, tally.frames, tally.was[Verdict.FAIL], tally.now[Verdict.FAIL])
        for begun, tally in sorted(found.shifts.items())
    ] == [(6, 2, 1, 0), (14, 1, 1, 1)]
    assert dict(found.changes) == {(Verdict.FAIL, Verdict.PASS): 1}
    (change,) = found.changed_to(Verdict.PASS)
    assert (change.was.score, change.now.score_ratio, change.now.threshold) == (1.5, 0.75, 2.0)


def test_nothing_changes_where_nothing_is_requested() -> None:
    """Also not what was undecided near the threshold by limits that nobody records."""
    near = decision(1.1, verdict=Verdict.UNDECIDED, reason=Reason.NEAR_THRESHOLD)
    found = threshold_replay([near, decision(0.5)], None, hours=HOURS, zone=UTC)
    assert found.whole.was == found.whole.now
    assert not found.changes


@pytest.mark.parametrize(("reason", "place"), [(Reason.NO_PART, None), (Reason.LINE_CHANGED, LineChange.SAME_PLACE)])
def test_what_explains_a_high_score_still_does_and_a_low_one_passes(reason: Reason, place: LineChange | None) -> None:
    """A frame without a part, or of a changed line, passes by a threshold above its score, and fails by none."""
    low, high = (decision(score, verdict=Verdict.UNDECIDED, reason=reason, line_change=place) for score in (1.5, 2.5))
    passing, explained = (decided_again(each, lambda _: PLAIN) for each in (low, high))
    assert passing is not None
    assert (passing.verdict, passing.reason, passing.line_change) == (Verdict.PASS, None, None)
    assert explained is not None
    assert (explained.verdict, explained.reason, explained.line_change) == (Verdict.UNDECIDED, reason, place)


@pytest.mark.parametrize(
    "was",
    [
        decision(None),
        decision(1.5, verdict=Verdict.UNDECIDED, reason=Reason.DEADLINE),
        decision(1.5, verdict=Verdict.UNDECIDED, reason=Reason.INPUT_FAULT, input_fault=InputFault.BLACK),
        decision(0.5, verdict=Verdict.FAIL, input_fault=InputFault.FROZEN),
    ],
)
def test_what_no_threshold_decided_stays_as_it_was(was: Decision) -> None:
    """Learning, too late, or nothing to judge in the picture, whatever the policy made of it."""
    assert decided_again(was, lambda _: PLAIN) == was


def test_a_frame_that_was_inspected_though_it_shows_nothing_is_judged_again() -> None:
    """Its score decided it: so the view's policy says, or a reason that only a score gives."""
    black = decision(1.5, input_fault=InputFault.BLACK)
    now = decided_again(black, lambda _: PLAIN, input_fault="inspect")
    assert now is not None
    assert (now.verdict, now.input_fault) == (Verdict.PASS, InputFault.BLACK)
    near = decision(1.5, verdict=Verdict.UNDECIDED, reason=Reason.NEAR_THRESHOLD, input_fault=InputFault.BLACK)
    found = threshold_replay([black, near], lambda _: PLAIN, hours=HOURS, zone=UTC, input_fault="fail")
    assert dict(found.changes) == {(Verdict.UNDECIDED, Verdict.PASS): 1}
    undecided = decision(1.5, verdict=Verdict.UNDECIDED, reason=Reason.INPUT_FAULT, input_fault=InputFault.BLACK)
    assert decided_again(undecided, lambda _: PLAIN, input_fault="inspect") == undecided


def test_a_band_makes_and_unmakes_undecided() -> None:
    """Between the limits a frame would have been undecided, with its reason."""
    banded = Limits(threshold=1.0, low=0.9, high=1.2)
    now = decided_again(decision(1.1), lambda _: banded)
    assert now is not None
    assert (now.verdict, now.reason) == (Verdict.UNDECIDED, Reason.NEAR_THRESHOLD)
    back = decided_again(now, lambda _: Limits(threshold=1.0, low=1.0, high=1.0))
    assert back is not None
    assert (back.verdict, back.reason) == (Verdict.FAIL, None)


def test_frames_of_banks_that_are_missing_are_not_judged() -> None:
    """They are counted apart, not as unchanged."""
    found = threshold_replay([decision(1.5)], lambda _: None, hours=HOURS, zone=UTC)
    assert (found.not_judged, found.whole.frames) == (1, 0)


def test_of_very_many_changed_verdicts_only_some_are_kept() -> None:
    """All are counted."""
    found = threshold_replay(
        (decision(1.5, number=n) for n in range(KEPT_CHANGES + 7)), lambda _: PLAIN, hours=HOURS, zone=UTC
    )
    assert (sum(found.changes.values()), len(found.changed)) == (KEPT_CHANGES + 7, KEPT_CHANGES)


@pytest.mark.parametrize(
    ("clock", "begun"),
    [("06:00", "24 06:00"), ("13:59", "24 06:00"), ("14:00", "24 14:00"), ("23:30", "24 22:00"), ("05:59", "23 22:00")],
)
def test_a_moment_belongs_to_the_shift_that_began_last(clock: str, begun: str) -> None:
    """The night shift began the day before; hours are of the moment's own zone."""
    zone = timezone(timedelta(hours=2))
    moment = datetime.combine(AT.date(), time.fromisoformat(clock), zone)
    assert f"{shift_of(moment, HOURS, zone):%d %H:%M}" == begun


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in Berlin; the zone is spelt out, as the test machine need not have a time zone database."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    tzset()
    yield
    monkeypatch.undo()
    tzset()


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(
    ("night", "began"),
    [
        # Clocks go back at 03:00 CEST; then on at 02:00 CET.
        (["2026-10-24T23:30+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T05:59+01:00"], 2),
        (["2026-03-28T23:30+01:00", "2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T05:59+02:00"], 1),
    ],
)
def test_a_night_in_which_clocks_change_is_one_shift(night: list[str], began: int) -> None:
    """It was split in two: the later half was held against 22:00 of its own offset, an hour off."""
    found = threshold_replay(
        [decision(0.5, number=n, at=datetime.fromisoformat(at)) for n, at in enumerate(night)],
        None,
        hours=HOURS,
        zone=None,
    )
    ((begun, tally),) = found.shifts.items()
    assert tally.frames == 4
    assert (begun.hour, begun.utcoffset()) == (22, timedelta(hours=began))


@pytest.mark.usefixtures("_berlin")
def test_a_shift_that_begins_in_the_hour_that_comes_twice_begins_once() -> None:
    """The second 02:15 comes after the first 02:30, whatever the clock on the wall says."""
    second = datetime.fromisoformat("2026-10-25T02:15+01:00")
    assert shift_of(second, hours_from("02:30,14:00"), None).isoformat() == "2026-10-25T02:30:00+02:00"


def test_shift_hours_that_are_none_are_wrong_use() -> None:
    """Any order will do."""
    assert hours_from("22:00, 06:00") == (time(6), time(22))
    with pytest.raises(BadShifts, match="--shifts noon must be times of day, as 06:00,14:00,22:00"):
        hours_from("noon")
