"""Writing: once each, counted by minute, summed up by view, and forgotten in time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text

from ingest.bank_event import BankEvent, BankEventKind
from ingest.bank_state import BankState, ViewState
from ingest.decision import Decision, Verdict
from monitoring.record.rows import PassSample, decision_of
from monitoring.record.schema import bank_events, bank_states, decisions, minutes, views, words
from monitoring.record.writing import ANALYZED_AT, RecordWriter, day_of, forget_before
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from monitoring.record.database import Database


@pytest.fixture
def writer(database: Database) -> RecordWriter:
    """One that pictures every pass."""
    return RecordWriter(database, PassSample(0))


def rows(database: Database) -> list[Decision]:
    """All decisions there are, the oldest first."""
    with database.reading() as connection:
        found = connection.execute(select(decisions).order_by(decisions.c.decided_at)).all()
    return [decision_of(row) for row in found]


def test_a_decision_comes_back_whole(database: Database, writer: RecordWriter) -> None:
    """Map, regions and sketch included."""
    batch = [made(0), made(1, Verdict.FAIL), made(2, Verdict.UNDECIDED)]
    assert writer.decisions(batch) == 3
    assert rows(database) == batch


def test_what_is_read_again_is_written_and_counted_once(database: Database, writer: RecordWriter) -> None:
    """At least once from Kafka, exactly once in the history: also within one batch."""
    assert writer.decisions([made(0), made(1), made(1)]) == 2
    assert writer.decisions([made(1), made(2, Verdict.FAIL)]) == 1
    assert writer.decisions([made(0), made(1), made(2, Verdict.FAIL)]) == 0
    with database.reading() as connection:
        assert connection.execute(select(func.sum(minutes.c.passed), func.sum(minutes.c.failed))).one() == (2, 1)
    assert len(rows(database)) == 3


def test_an_id_that_comes_again_days_later_is_another_decision(database: Database, writer: RecordWriter) -> None:
    """A line that counts its parts anew every Monday."""
    week = timedelta(days=7).total_seconds()
    assert writer.decisions([made(0)]) == 1
    assert writer.decisions([made(0, seconds=60)]) == 0
    assert writer.decisions([made(0, seconds=week)]) == 1
    assert len(rows(database)) == 2


def test_minutes_hold_the_counts_of_their_frames(database: Database, writer: RecordWriter) -> None:
    """By definition, from the decisions themselves."""
    batch = [made(n, Verdict.FAIL if n % 7 == 0 else Verdict.PASS) for n in range(130)]
    for start in range(0, 130, 13):
        writer.decisions(batch[start : start + 13])
    with database.reading() as connection:
        found = connection.execute(select(minutes).order_by(minutes.c.minute)).all()
    for row in found:
        within = [each for each in batch if row.minute <= each.decided_at < row.minute + timedelta(minutes=1)]
        assert row.passed == sum(each.verdict is Verdict.PASS for each in within)
        assert row.failed == sum(each.verdict is Verdict.FAIL for each in within)
        assert row.scored == len(within)
        assert row.ratio_sum == pytest.approx(sum(each.score_ratio or 0 for each in within))
        assert row.ratio_max == max(each.score_ratio or 0 for each in within)
        assert row.brightness_sum == pytest.approx(sum(each.image.brightness for each in within if each.image))
    assert len(found) == 3


def test_a_view_shows_its_last_decision_and_its_last_reject(database: Database, writer: RecordWriter) -> None:
    """Also where older decisions come in behind newer ones."""
    writer.decisions([made(10), made(11, Verdict.FAIL), made(12)])
    writer.decisions([made(3)])
    with database.reading() as connection:
        row = connection.execute(select(views)).one()
    assert (row.view, row.last_id, row.last_verdict) == (VIEW, made(12).id, "pass")
    assert (row.last_fail_id, row.last_fail_at) == (made(11).id, AT + timedelta(seconds=11))


def test_messages_of_which_none_could_be_read_are_none(database: Database, writer: RecordWriter) -> None:
    """A foreign producer's alone in a batch: a statement without rows stopped the recorder."""
    writer.messages(words, [])
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(words)).scalar_one() == 0


def test_events_are_written_once_by_their_offset(database: Database, writer: RecordWriter) -> None:
    """The topic is kept for ever, and may be read from its beginning."""
    event = BankEvent(view=VIEW, kind=BankEventKind.BUILT, epoch=1, who="trainer", why="first", at=AT)
    writer.messages(bank_events, [(4, event), (5, event)])
    writer.messages(bank_events, [(5, event), (6, event)])
    with database.reading() as connection:
        found = connection.execute(select(bank_events.c.offset, bank_events.c.message)).all()
    assert [offset for offset, _ in found] == [4, 5, 6]
    assert BankEvent.from_bytes(found[0][1].encode()) == event


def test_an_earlier_state_does_not_come_back(database: Database, writer: RecordWriter) -> None:
    """`banks` read from its beginning ends at the last epoch."""
    for epoch in (2, 3, 1):
        writer.bank_state(BankState(view=VIEW, epoch=epoch, state=ViewState.LEARNING, by="t", why="", at=AT))
    with database.reading() as connection:
        assert connection.execute(select(bank_states.c.epoch)).scalar_one() == 3


def test_old_days_are_forgotten_with_their_counts(database: Database, writer: RecordWriter) -> None:
    """On PostgreSQL a partition is dropped; what is newer stays."""
    day = timedelta(days=1).total_seconds()
    writer.decisions([made(0), made(1, seconds=day), made(2, seconds=2 * day)])
    assert forget_before(database, day_of(AT + timedelta(days=2))) == 2
    assert [each.frame_id for each in rows(database)] == ["run-2"]
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(minutes)).scalar_one() == 1


def test_a_new_day_is_known_to_the_planner_as_soon_as_it_has_some_rows(
    database: Database, writer: RecordWriter
) -> None:
    """Nobody had looked at it for a minute: whether a decision is written already was answered by reading the day."""
    if not database.partitioned:
        pytest.skip("SQLite's planner takes the index without having counted")
    writer.decisions([made(n) for n in range(ANALYZED_AT[0] - 1)])
    assert _counted_rows(database) <= 0
    writer.decisions([made(ANALYZED_AT[0])])
    assert _counted_rows(database) == ANALYZED_AT[0]


def _counted_rows(database: Database) -> int:
    """Of the day's partition, as PostgreSQL last counted them."""
    with database.reading() as connection:
        name = f"decisions_{AT:%Y%m%d}"
        found = connection.execute(text("SELECT reltuples FROM pg_class WHERE relname = :name"), {"name": name})
        return int(found.scalar_one())


def test_passes_are_sampled_by_time_and_rejects_are_not() -> None:
    """The first pass of each view, then one in so many seconds; every reject."""
    sample = PassSample(10)
    states = [sample.picture_of(made(n, Verdict.FAIL if n == 5 else Verdict.PASS)).value for n in range(12)]
    assert [n for n, state in enumerate(states) if state == "waiting"] == [0, 5, 10]


def test_a_pass_without_a_picture_is_kept_without_its_map(database: Database) -> None:
    """The map is most of a message."""
    writer = RecordWriter(database, PassSample(3600))
    writer.decisions([made(0), made(1)])
    first, second = rows(database)
    assert first == made(0)
    assert second == made(1).model_copy(update={"anomaly_map": None, "sketch": None})
