"""The scores that the console keeps in memory, against those of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from monitoring.console.recent_scores import KEPT, RecentScores
from monitoring.record.database import Database
from monitoring.record.queries import RecordReader
from monitoring.record.rows import PassSample
from monitoring.record.writing import RecordWriter
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VIEWS = ("line-1/a", "line-1/b", "line-2/a")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty history."""
    with Database.open(f"sqlite:///{tmp_path}/record.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("most", [5000, 12])
def test_scores_that_are_followed_are_those_of_the_database(database: Database, most: int) -> None:
    """Views that go on, one that is silent for long and comes back, a new one, and more than one answer holds."""
    reader, writer = RecordReader(database), RecordWriter(database, PassSample(0))
    scores = RecentScores(reader, most=most)
    at = 0
    for round_, views in enumerate((VIEWS[:2], VIEWS[:2], VIEWS[:1], VIEWS[:1], VIEWS)):
        count = KEPT if round_ == 2 else 4
        numbers = range(at, at + count)
        writer.decisions([made(n, view=view, ratio=(n % 7) / 10 + 0.1) for n in numbers for view in views])
        at += 100
        scores.follow(reader.views())
        for view in [each.view for each in reader.views()]:
            wanted = [(verdict, ratio) for _, _, verdict, ratio in reader.ratios(view, last=KEPT)]
            assert list(scores.of(view)) == wanted


def test_a_view_that_was_not_followed_is_asked_for(database: Database) -> None:
    """A page may come before the first look."""
    RecordWriter(database, PassSample(0)).decisions([made(n, view=VIEWS[0]) for n in range(3)])
    assert len(RecentScores(RecordReader(database)).of(VIEWS[0])) == 3
    assert RecentScores(RecordReader(database)).of("line-9/none") == []


def test_a_view_that_is_gone_is_forgotten(database: Database) -> None:
    """Its scores are the database's again, with what was written since."""
    reader, writer = RecordReader(database), RecordWriter(database, PassSample(0))
    scores = RecentScores(reader)
    writer.decisions([made(n, view=VIEWS[0]) for n in range(3)])
    scores.follow(reader.views())
    writer.decisions([made(n, view=VIEWS[0]) for n in range(3, 5)])
    assert len(scores.of(VIEWS[0])) == 3
    scores.follow([])
    assert len(scores.of(VIEWS[0])) == 5
