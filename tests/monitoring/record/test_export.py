"""Export: what other programs read is what was decided."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingest.decision import Verdict
from monitoring.record.export import CsvFile, ParquetFile, exported
from monitoring.record.rows import PassSample
from monitoring.record.writing import RecordWriter
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from pathlib import Path

    from monitoring.record.database import Database


@pytest.fixture
def filled(database: Database) -> Database:
    """Five decisions of one view, one of another."""
    batch = [made(n, Verdict.FAIL if n == 2 else Verdict.PASS, serial=f"SN-{n}") for n in range(4)]
    RecordWriter(database, PassSample(0)).decisions([*batch, made(4, Verdict.UNDECIDED), made(9, view="line-2/x")])
    return database


def test_csv_has_a_row_for_each_decision_of_the_time(filled: Database, tmp_path: Path) -> None:
    """The beginning counts, the end does not; an absent score is empty."""
    with CsvFile(tmp_path / "d.csv") as file:
        count = exported(filled, file, view=VIEW, since=AT + timedelta(seconds=1), until=AT + timedelta(seconds=5))
    rows = list(csv.DictReader((tmp_path / "d.csv").read_text().splitlines()))
    assert count == len(rows) == 4
    assert [row["verdict"] for row in rows] == ["pass", "fail", "pass", "undecided"]
    assert rows[1]["decided_at"] == "2026-11-24T06:00:02+00:00"
    assert (rows[1]["part_serial"], rows[1]["score_ratio"]) == ("SN-2", "1.5")
    assert (rows[1]["frames_topic"], rows[1]["frames_partition"], rows[1]["frames_offset"]) == ("frames", "0", "2")
    assert (rows[3]["reason"], rows[3]["score"]) == ("learning", "")


def test_parquet_has_the_same_rows_with_their_types(filled: Database, tmp_path: Path) -> None:
    """As pyarrow reads it back."""
    parquet = pytest.importorskip("pyarrow.parquet")
    with ParquetFile(tmp_path / "d.parquet") as file:
        assert exported(filled, file, view=None, since=AT, until=AT + timedelta(days=1)) == 6
    rows = parquet.read_table(tmp_path / "d.parquet").to_pylist()
    assert [row["view"] for row in rows] == [VIEW] * 5 + ["line-2/x"]
    assert rows[2]["decided_at"] == AT + timedelta(seconds=2)
    assert rows[2]["score_ratio"] == 1.5
    assert rows[4]["score"] is None
