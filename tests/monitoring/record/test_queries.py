"""What pages ask: each answer against the decisions themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest.bank_event import BankEvent, BankEventKind
from ingest.decision import Decision, Reason, Verdict
from monitoring.record.queries import DecisionFilter, RecordReader, VerdictCounts
from monitoring.record.rows import PassSample
from monitoring.record.schema import bank_events
from monitoring.record.writing import RecordWriter
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from monitoring.record.database import Database


def verdict_of(number: int) -> Verdict:
    """Every fifth fails, every seventh is undecided."""
    if number % 5 == 0:
        return Verdict.FAIL
    return Verdict.UNDECIDED if number % 7 == 0 else Verdict.PASS


BATCH = [
    made(n, verdict_of(n), serial=f"SN-{n // 2}", reason=Reason.INPUT_FAULT if n % 7 == 0 and n % 5 else None)
    for n in range(150)
]


@pytest.fixture
def reader(database: Database) -> RecordReader:
    """A history of 150 decisions of one view, and one of another on the first part."""
    writer = RecordWriter(database, PassSample(0))
    writer.decisions([*BATCH, made(0, view="line-1/side", serial="SN-0")])
    event = BankEvent(view=VIEW, kind=BankEventKind.PROMOTED, epoch=1, command_id="c-1", who="a", why="b", at=AT)
    writer.messages(bank_events, [(0, event)])
    return RecordReader(database)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (DecisionFilter(), lambda each: each.view == VIEW),
        (DecisionFilter(verdict=Verdict.FAIL), lambda each: each.verdict is Verdict.FAIL),
        (DecisionFilter(reason=Reason.INPUT_FAULT), lambda each: each.reason is Reason.INPUT_FAULT),
        (DecisionFilter(ratio_from=1.0), lambda each: (each.score_ratio or 0) >= 1),
        (
            DecisionFilter(since=AT + timedelta(seconds=20), until=AT + timedelta(seconds=30)),
            lambda each: 20 <= (each.decided_at - AT).total_seconds() < 30,
        ),
    ],
)
def test_a_filter_gives_what_fits_the_newest_first(
    reader: RecordReader,
    wanted: DecisionFilter,
    fits: object,
) -> None:
    """Compared with the list itself."""
    assert callable(fits)
    expected: list[Decision] = [each for each in reversed(BATCH) if fits(each)]
    found = [each.decision for each in reader.decisions(VIEW, wanted, most=1000)]
    assert found == expected
    assert [each.decision for each in reader.decisions(VIEW, wanted, most=3)] == expected[:3]


def test_a_decision_is_found_with_its_neighbours(reader: RecordReader) -> None:
    """By moment and id, or by id alone; the first and the last have one neighbour."""
    middle = BATCH[70]
    found = reader.decision(middle.decided_at, middle.id)
    assert found is not None
    assert found.decision == middle
    by_id = reader.found_by(middle.id)
    assert by_id is not None
    assert by_id.decision == middle
    before, after = reader.beside(middle)
    assert (before, after) == ((BATCH[69].decided_at, BATCH[69].id), (BATCH[71].decided_at, BATCH[71].id))
    assert reader.beside(BATCH[0])[0] is None
    assert reader.beside(BATCH[-1])[1] is None
    assert reader.decision(middle.decided_at, "0" * 64) is None


def test_all_frames_of_a_part_are_found_whatever_their_view(reader: RecordReader) -> None:
    """By the serial number alone."""
    found = [(each.decision.view, each.decision.frame_id) for each in reader.same_part(BATCH[0])]
    assert sorted(found) == [("line-1/side", "run-0"), (VIEW, "run-0"), (VIEW, "run-1")]
    assert reader.same_part(BATCH[0].model_copy(update={"part_serial": None})) == []


def test_counts_and_buckets_are_those_of_the_decisions(reader: RecordReader) -> None:
    """Of whole minutes, and of buckets of two."""
    until = AT + timedelta(hours=1)
    counts = reader.counts(since=AT, until=until)[VIEW]
    assert counts == VerdictCounts(*(sum(each.verdict is verdict for each in BATCH) for verdict in Verdict))
    buckets = reader.buckets(VIEW, since=AT, until=until, seconds=120)
    assert [bucket.at for bucket in buckets] == [AT, AT + timedelta(minutes=2)]
    first = [each for each in BATCH if each.decided_at < AT + timedelta(minutes=2)]
    assert buckets[0].counts.total == len(first) == 120
    scores = [each.score_ratio for each in first if each.score_ratio is not None]
    assert buckets[0].ratio_mean == pytest.approx(sum(scores) / len(scores))
    assert buckets[0].brightness == pytest.approx(100 + sum(range(120)) / 120)


def test_what_all_views_decided_behind_a_moment_comes_in_the_order_of_time(reader: RecordReader) -> None:
    """So many at most."""
    every = sorted([*BATCH, made(0, view="line-1/side")], key=lambda each: each.decided_at)
    behind = [each for each in every if each.decided_at > AT]
    found = reader.all_after(AT, most=50)
    assert found == [(each.decided_at, each.view, each.verdict, each.score_ratio) for each in behind[:50]]


def test_ratios_come_in_the_order_of_time(reader: RecordReader) -> None:
    """The latest so many, and those behind a moment."""
    latest = reader.ratios(VIEW, last=4)
    assert [key for _, key, _, _ in latest] == [each.id for each in BATCH[-4:]]
    behind = reader.after(VIEW, BATCH[-3].decided_at, most=10)
    assert [key for _, key, _, _ in behind] == [each.id for each in BATCH[-2:]]


def test_an_answer_is_found_by_its_request(reader: RecordReader) -> None:
    """None where nothing answers it yet."""
    answer = reader.answer_to(VIEW, "c-1")
    assert answer is not None
    assert answer.kind is BankEventKind.PROMOTED
    assert reader.answer_to(VIEW, "c-2") is None
