"""How quickly a long history answers, on a PostgreSQL of its own: `python -m tests.bench.history_scale`.

Fills the tables as 20 views at one decision a second would, in SQL, then asks what the view page asks, each question
for another view, and prints the median and the 95th percentile of its seconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import text

from ingest.decision import Verdict
from monitoring.console.shift_report import shift_report
from monitoring.record.database import Database
from monitoring.record.queries import DecisionFilter, RecordReader
from monitoring.record.rows import decision_row
from monitoring.record.schema import PictureState, microseconds
from monitoring.record.writing import DAY, day_of
from tests.monitoring.record.lines import made
from tests.postgresql import Postgresql, programs

if TYPE_CHECKING:
    from collections.abc import Callable

VIEWS = 20
REPEATS, MOST_SECONDS = 40, 20.0
"""Of each question; one that takes long is asked less often."""
END = datetime(2026, 11, 28, tzinfo=UTC)
ROWS = """
INSERT INTO {table}
SELECT :start + n::bigint * 1000000 / :views, encode(sha256((:start + n)::text::bytea), 'hex'),
       'line-' || n % :views || '/camera-1',
       CASE WHEN n / :views % 50 = 0 THEN 'fail' ELSE 'pass' END, NULL, false, 1.0, 2.0, 0.5, repeat('a1', 32), 1,
       'run-' || n, 'SN-' || n, n % 6, n,
       CASE WHEN n / :views % 50 = 0 OR n / :views % 30 = 0 THEN 'kept' ELSE 'not_kept' END, 0, :rest
FROM generate_series(0, :rows - 1) AS n
"""
MINUTES = """
INSERT INTO minutes
SELECT 'line-' || v || '/camera-1', :start + m::bigint * 60000000, 58, 2, 0, 60, 30, 1.5, 60, 6000, 1800, 540
FROM generate_series(0, :views - 1) AS v, generate_series(0, :minutes - 1) AS m
"""
SEEN = """
INSERT INTO views SELECT 'line-' || v || '/camera-1', :start, :last, repeat('0', 64), 'pass', 0.5
FROM generate_series(0, :views - 1) AS v
"""


def fill(database: Database, rows: int) -> datetime:
    """The tables of so many decisions, a day at a time; returns when the last one was decided.

    Only the filling is spared what a plant's database does: a day is unlogged, and gets its indexes when it is full.
    """
    per_day = VIEWS * 86_400
    days = -(-rows // per_day)
    begin = day_of(END) - days * DAY
    rest = decision_row(made(1), PictureState.NOT_KEPT)["rest"]
    for day in range(days):
        start, count = begin + day * DAY, min(per_day, rows - day * per_day)
        table = f"decisions_{start:%Y%m%d}"
        values = {"start": microseconds(start), "views": VIEWS, "rows": count, "rest": rest}
        with database.writing() as connection:
            connection.execute(text(f"CREATE UNLOGGED TABLE {table} (LIKE decisions)"))
            connection.execute(text(ROWS.format(table=table)), values)
            connection.execute(text(MINUTES), {**values, "minutes": 1440})
            bounds = f"FROM ({microseconds(start)}) TO ({microseconds(start + DAY)})"
            connection.execute(text(f"ALTER TABLE decisions ATTACH PARTITION {table} FOR VALUES {bounds}"))
    with database.writing() as connection:
        last = begin + timedelta(seconds=rows / VIEWS)
        connection.execute(text(SEEN), {"start": microseconds(begin), "last": microseconds(last), "views": VIEWS})
    with database.reading() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    return last


def questions(reader: RecordReader, last: datetime) -> dict[str, Callable[[str], object]]:
    """What pages ask, by name."""
    day, shift = last - timedelta(days=1), last - timedelta(hours=8)
    return {
        "latest scores": lambda view: reader.ratios(view, last=400),
        "latest frames": lambda view: reader.decisions(view, DecisionFilter(), most=24),
        "latest rejects": lambda view: reader.decisions(view, DecisionFilter(verdict=Verdict.FAIL), most=24),
        "rejects of a day": lambda view: reader.decisions(
            view, DecisionFilter(verdict=Verdict.FAIL, since=day - DAY, until=day), most=24
        ),
        "scores from 1": lambda view: reader.decisions(
            view, DecisionFilter(verdict=Verdict.FAIL, ratio_from=0.1), most=24
        ),
        "counts of an hour": lambda _: reader.counts(since=last - timedelta(hours=1), until=last),
        "a month in buckets": lambda view: reader.buckets(
            view, since=last - timedelta(days=30), until=last, seconds=10_800
        ),
        "new of all views": lambda _: reader.all_after(last - timedelta(seconds=1), most=5000),
        "sketches of 8 hours": lambda view: reader.decisions(
            view, DecisionFilter(since=shift, until=last), most=400, pictured=True
        ),
        "before an episode": lambda view: reader.decisions(
            view, DecisionFilter(verdict=Verdict.PASS, since=day - DAY, until=day), most=1, pictured=True
        ),
        "by its id alone": lambda view: reader.found_by(reader.ratios(view, last=1)[0][1]),
        "frames of a part": lambda view: reader.same_part(reader.decisions(view, DecisionFilter(), most=1)[0].decision),
        "report of a shift": lambda _: shift_report(reader, since=shift, until=last),
        "one part": lambda view: reader.beside(reader.decisions(view, DecisionFilter(until=last), most=1)[0].decision),
    }


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000_000)
    rows = parser.parse_args().rows
    found = programs()
    if found is None:
        sys.exit("PostgreSQL is not installed (Debian package postgresql)")
    server = Postgresql(found).start()
    try:
        with Database.open(server.database()) as database:
            begun = time.perf_counter()
            last = fill(database, rows)
            sys.stdout.write(f"{rows:,} decisions in {time.perf_counter() - begun:.0f} s\n")
            with database.reading() as connection:
                size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
            sys.stdout.write(f"{size / 2**30:.2f} GiB, {size / rows:.0f} bytes a decision with its indexes\n")
            for name, ask in questions(RecordReader(database), last).items():
                seconds = list[float]()
                for repeat in range(REPEATS):
                    if sum(seconds) > MOST_SECONDS:
                        break
                    started = time.perf_counter()
                    ask(f"line-{repeat % VIEWS}/camera-1")
                    seconds.append(time.perf_counter() - started)
                median, high = np.percentile(seconds, [50, 95])
                sys.stdout.write(f"{name:<20} p50 {1000 * median:7.1f} ms  p95 {1000 * high:7.1f} ms\n")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
