"""What 50 busy views ask of the history and its pages: `python -m tests.bench.recorded_and_shown`.

Decisions, as large as inference writes them, go to a real Kafka (PATCHLINE_TEST_KAFKA_HOME) at a steady rate.
`patchline record` and `patchline console` run as processes, a screen shows the fleet live, and a person opens a page a
second. Prints what is missing in the database, how long pages took, how old live events were, and memory, and all of
it as a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select

from ingest.decision import decision_id
from ingest.store import FsspecStore
from monitoring.record.database import Database
from monitoring.record.schema import decisions, minutes
from tests.bench.console_visitors import Visitors
from tests.bench.decided_lines import DecidedView, frame_id, prepared, send_decisions
from tests.brokers import KafkaBroker, answers, free_port
from tests.e2e.services import Service, Services, page, wait_until
from tests.postgresql import Postgresql, programs

if TYPE_CHECKING:
    from tests.bench.console_visitors import Visits

SAMPLE_SECONDS = 5.0
WARM_SECONDS = 60.0
"""Memory counts from then on: pages, banks and connections are held by then."""
SETTLE_SECONDS = 20.0


@dataclass
class ProcessSamples:
    """Memory of a process over the run, and its CPU time."""

    service: Service
    memory_mib: list[tuple[float, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def take(self, at_seconds: float) -> None:
        """One sample more."""
        process = Path(f"/proc/{self.service.process.pid}")
        status = process.joinpath("status").read_text()
        memory_kb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        self.memory_mib.append((at_seconds, memory_kb / 1024))
        ticks = process.joinpath("stat").read_text().rsplit(") ", 1)[1].split()[11:13]
        self.cpu_seconds = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def facts(self) -> dict[str, Any]:
        """Memory once warm and at the end (medians of 30 s), by the minute, and CPU."""
        warm = [mib for at, mib in self.memory_mib if WARM_SECONDS <= at < WARM_SECONDS + 30]
        end = [mib for at, mib in self.memory_mib if at >= self.memory_mib[-1][0] - 30]
        return {
            "memory_mib_warm": round(median(warm), 1) if warm else float("nan"),
            "memory_mib_end": round(median(end), 1),
            "memory_mib_most": round(max(mib for _, mib in self.memory_mib), 1),
            "memory_mib_by_minute": [
                round(median(mib for at, mib in self.memory_mib if at // 60 == minute), 1)
                for minute in range(int(self.memory_mib[-1][0] // 60) + 1)
            ],
            "cpu_seconds": round(self.cpu_seconds, 1),
        }


def main() -> None:
    """One run for each kind of database."""
    parser = argparse.ArgumentParser(description="Decisions recorded and shown while they come.")
    parser.add_argument("--views", type=int, default=50)
    parser.add_argument("--rate", type=float, default=20.0, help="decisions a second of each view")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    given = parser.parse_args()
    for kind in given.database or ["sqlite", "postgresql"]:
        with TemporaryDirectory() as folder, ExitStack() as stack:
            url = _database(kind, Path(folder), stack)
            broker = KafkaBroker(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]), Path(folder) / "kafka").start()
            stack.callback(broker.stop)
            facts = run(Path(folder), broker, url, views=given.views, rate=given.rate, seconds=given.seconds)
            shown = {"database": kind, "views": given.views, "rate": given.rate, "seconds": given.seconds, **facts}
            _print(shown)


def _database(kind: str, folder: Path, stack: ExitStack) -> str:
    if kind == "sqlite":
        return f"sqlite:///{folder}/record.sqlite"
    found = programs()
    if found is None:
        sys.exit("PostgreSQL is not installed (Debian package postgresql)")
    server = Postgresql(found, durable=True).start()
    stack.callback(server.stop)
    return server.database()


def run(folder: Path, broker: KafkaBroker, url: str, *, views: int, rate: float, seconds: float) -> dict[str, Any]:
    """One run on a running broker and an empty database."""
    kafka = broker.settings(partitions=6)
    ports = {"record": free_port(), "console": free_port()}
    over = {
        "record": {"database": url, "metrics_port": ports["record"]},
        "console": {"port": ports["console"]},
    }
    with Services(folder, kafka, over) as services:
        services.run("topics", "create")
        lines = prepared(kafka, FsspecStore.open(services.store), views=views)
        running = [services.start("record"), services.start("console")]
        wait_until(lambda: page(ports["record"], "/readyz") is not None, "the recorder becoming ready")
        wait_until(lambda: answers(ports["console"]), "the console becoming ready")
        samples = [ProcessSamples(each) for each in running]
        sender = multiprocessing.get_context("spawn").Process(
            target=send_decisions, args=(kafka, lines), kwargs={"a_second": rate, "seconds": seconds}
        )
        sender.start()
        wait_until(lambda: _count(url) > views, "the first decisions recorded")
        begun = time.monotonic()
        with Visitors(ports["console"], [each.name for each in lines], decisions_a_second=rate) as visitors:
            while sender.is_alive():
                for each in samples:
                    each.take(time.monotonic() - begun)
                sender.join(SAMPLE_SECONDS)
        ended = time.monotonic()
        assert sender.exitcode == 0
        whole = round(rate * seconds) * views
        while _count(url) < whole and time.monotonic() < ended + SETTLE_SECONDS:
            time.sleep(0.1)
        settled = time.monotonic() - ended
        for each in samples:
            assert each.service.process.poll() is None, each.service.logged
        facts = {
            "decisions": whole,
            **_held_against(url, lines, round(rate * seconds)),
            "recorded_after_seconds": round(settled, 2),
            **{each.service.name: each.facts() for each in samples},
            **_visited(visitors.visits),
            "load": round(os.getloadavg()[0], 1),
        }
        for service in running:
            assert service.stop() == 0, service.logged
    return facts


def _count(url: str) -> int:
    with Database.open(url) as database, database.reading() as connection:
        summed = func.sum(minutes.c.passed + minutes.c.failed + minutes.c.undecided)
        return int(connection.execute(select(summed)).scalar_one() or 0)


def _held_against(url: str, lines: list[DecidedView], each_has: int) -> dict[str, int]:
    """What was sent against what the database has."""
    sent = {decision_id(view.name, frame_id(number)) for view in lines for number in range(each_has)}
    with Database.open(url) as database, database.reading() as connection:
        found = connection.execute(select(decisions.c.id)).scalars().all()
        counted = select(decisions.c.picture, func.count()).group_by(decisions.c.picture)
        states = {state: count for state, count in connection.execute(counted)}  # noqa: C416 -- a row is no tuple to mypy
    return {
        "missing": len(sent - set(found)),
        "doubled": len(found) - len(set(found)),
        "foreign": len(set(found) - sent),
        "counted_by_minute": _count(url),
        "pictures_kept": states.get("kept", 0),
        "pictures_waiting": states.get("waiting", 0),
    }


def _visited(visits: Visits) -> dict[str, Any]:
    def spread(seconds: list[float]) -> dict[str, float]:
        p50, p95, p99 = (round(1000 * float(each), 1) for each in np.percentile(seconds, [50, 95, 99]))
        most = round(1000 * max(seconds), 1)
        return {"count": len(seconds), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "most_ms": most}

    pages = [each for kind in ("fleet", "view", "part") for each in visits.seconds.get(kind, [])]
    return {
        "answers": {kind: spread(seconds) for kind, seconds in [("all pages", pages), *visits.seconds.items()]},
        "live_events": spread(visits.event_seconds),
        "first_of_live_events": spread(visits.news_seconds),
        "problems": visits.problems,
    }


def _print(facts: dict[str, Any]) -> None:
    say = sys.stdout.write
    say(f"\n{facts['database']}: {facts['views']} views, {facts['rate']:g}/s each, {facts['seconds']:g} s\n")
    for name in ("decisions", "missing", "doubled", "foreign", "counted_by_minute", "recorded_after_seconds"):
        say(f"  {name.replace('_', ' '):<26} {facts[name]}\n")
    for name in ("pictures_kept", "pictures_waiting", "load"):
        say(f"  {name.replace('_', ' '):<26} {facts[name]}\n")
    for name in ("record", "console"):
        say(f"  {name:<26} {facts[name]}\n")
    events = (("live events", facts["live_events"]), ("the first of their news", facts["first_of_live_events"]))
    for name, spread in [*facts["answers"].items(), *events]:
        say(f"  {name:<26} {spread}\n")
    for problem in facts["problems"]:
        say(f"  problem: {problem}\n")
    say(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
