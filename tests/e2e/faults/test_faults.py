"""Faults in sequence, on one broker and one stream: `make faults` tries all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.faults.__main__ import a_rig
from tests.e2e.faults.catalog import FAULTS
from tests.e2e.faults.fault import Trial, tried
from tests.e2e.faults.ledger import enter, entries, table, to_try

if TYPE_CHECKING:
    from pathlib import Path

SEQUENCE = (
    "poison frames",
    "an oversized frame",
    "inspection killed before send",
    "inspection killed after send",
    "inspection killed inside commit",
    "rolling restart",
    "trainer killed while building",
    "a storm of dead letters in one view",
)


@pytest.mark.kafka
@pytest.mark.slow
def test_one_fault_after_the_other_loses_and_doubles_nothing(kafka_home: Path, tmp_path: Path) -> None:
    """Two inspections and a trainer go through them while frames flow; every record has exactly one answer."""
    with a_rig(kafka_home, tmp_path) as rig:
        trials = [tried(FAULTS[name], rig, seed=0) for name in SEQUENCE]
    assert [(each.fault, each.lost, each.doubled, each.wrong) for each in trials] == [
        (name, 0, 0, ()) for name in SEQUENCE
    ]
    assert all(each.sent for each in trials)


def trial(fault: str, seed: int, *, recovery: float = 1.0, lost: int = 0) -> Trial:
    """A trial that went so."""
    return Trial(fault, seed, 100, lost, 0, recovery)


def test_a_ledger_is_gone_on_with_where_it_ends(tmp_path: Path) -> None:
    """Also where it was cut off in the middle of a line."""
    ledger = tmp_path / "faults.jsonl"
    assert list(to_try(["a", "b"], 2, entries(ledger))) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    enter(ledger, trial("a", 0))
    with ledger.open("a") as lines:
        lines.write('{"fault": "b", "se')
    assert entries(ledger) == [trial("a", 0)]
    assert list(to_try(["a", "b"], 2, entries(ledger))) == [("b", 0), ("a", 1), ("b", 1)]


def test_the_table_has_the_median_and_the_worst_recovery_of_each_fault() -> None:
    """And sums of the rest."""
    rows = table([trial("a", 0), trial("a", 1, recovery=9.0, lost=2), trial("a", 2, recovery=3.0)]).splitlines()
    assert rows[2:] == ["| a | 3 | 300 | 2 | 0 | 3.0 s | 9.0 s |"]
