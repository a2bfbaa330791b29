"""The fold of `banks`: the last record of a view wins, tombstones remove, unreadable records are skipped."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from ingest.bank_state import BankState, ViewState
from ingest.bank_updates import bank_states, bank_updates
from ingest.contract import BadMessage, NewerSchema
from ingest.kafka.records import Record

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)


def state(view: str, epoch: int) -> BankState:
    """A view that learns."""
    return BankState(view=view, epoch=epoch, state=ViewState.LEARNING, by="trainer", why="test", at=AT)


def record(offset: int, view: str | None, value: bytes | None) -> Record:
    """A record of `banks`."""
    return Record("banks", 0, offset, 0, "create_time", None if view is None else view.encode(), value)


NEWER = state("a", 9).to_bytes().replace(b'"patchline_schema":1', b'"patchline_schema":2')


def test_the_last_record_of_each_view_wins() -> None:
    """Two views, one of them twice."""
    records = [
        record(offset, each.view, each.to_bytes())
        for offset, each in enumerate([state("a", 1), state("b", 5), state("a", 2)])
    ]
    assert bank_states(records, accept_newer=False) == {"a": state("a", 2), "b": state("b", 5)}


def test_a_tombstone_removes_its_view() -> None:
    """A reader that follows the topic sees it as None; a state after it counts again."""
    records = [record(0, "a", state("a", 1).to_bytes()), record(1, "a", None)]
    assert bank_updates(records).states == {"a": None}
    assert bank_states(records, accept_newer=False) == {}
    again = [*records, record(2, "a", state("a", 0).to_bytes())]
    assert bank_states(again, accept_newer=False) == {"a": state("a", 0)}


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"view": "a"}', b"[" * 100_000, state("z", 9).to_bytes()])
def test_an_unreadable_record_is_skipped_and_logged(value: bytes) -> None:
    """The state before it goes on, other views are read, and the log names the record."""
    records = [
        record(0, "a", state("a", 1).to_bytes()),
        record(1, "a", value),
        record(2, "b", state("b", 1).to_bytes()),
    ]
    with capture_logs() as logs:
        updates = bank_updates(records)
    assert updates.states == {"a": state("a", 1), "b": state("b", 1)}
    assert {view: type(error) for view, error in updates.unreadable.items()} == {"a": BadMessage}
    assert [(each["event"], each["view"], each["offset"]) for each in logs] == [("bank_state_unreadable", "a", 1)]
    assert bank_states(records, accept_newer=False) == {"a": state("a", 1), "b": state("b", 1)}


def test_an_unreadable_record_is_forgotten_once_its_view_is_written_again() -> None:
    """Nothing is wrong with the view any more."""
    updates = bank_updates([record(0, "a", b"{"), record(1, "a", state("a", 2).to_bytes())])
    assert (updates.states, updates.unreadable) == ({"a": state("a", 2)}, {})


def test_a_state_of_a_newer_release_stops_a_writer_and_no_reader() -> None:
    """The trainer would write over it; a command that only lists banks does without it."""
    records = [record(0, "a", NEWER), record(1, "b", state("b", 1).to_bytes())]
    assert isinstance(bank_updates(records).unreadable["a"], NewerSchema)
    assert bank_states(records, accept_newer=True) == {"b": state("b", 1)}
    with pytest.raises(NewerSchema):
        bank_states(records, accept_newer=False)


def test_a_record_without_a_key_belongs_to_no_view() -> None:
    """Whatever its value says."""
    assert bank_states([record(0, None, state("a", 1).to_bytes())], accept_newer=False) == {}
