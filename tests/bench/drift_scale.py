"""What it takes to follow many views: the share of one core, and whether memory stays flat.

`python -m tests.bench.drift_scale --views 200 --seconds 120` with PATCHLINE_TEST_KAFKA_HOME. The service's own loop,
with metrics, distances and forgetting, on made-up decisions at 10 a second and view, of 2.8 kB each, every past full;
its clock runs as fast as it can work. Beside it, what reading as many from a real Kafka takes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, generate_latest

from ingest.kafka.records import Claim, Committed, Outgoing, Partition, Record, Work
from ingest.kafka.topics import create_topics
from ingest.kafka.transactions import State, TransactionLoop
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from monitoring.drift.conformal_ranks import REMEMBERED, RankHistory
from monitoring.health import Heartbeat
from monitoring.metrics import declare_kafka, declare_watch
from monitoring.watch.calibrations import Calibrations
from monitoring.watch.replays import Replays
from monitoring.watch.reporting import DriftReporting
from monitoring.watch.service import ROOM, Watch
from monitoring.watch.settings import WatchSettings
from monitoring.watch.views import Views
from tests.brokers import KafkaBroker
from tests.monitoring.drift.synthetic_streams import frames
from tests.monitoring.watch.banks_in_store import calibrated_bank, decisions, state_of, state_record, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ingest.decision import Decision

HOME = Partition("decisions", 0)
RATE = 10
WINDOW_FRAMES = 400
SCRAPE_SECONDS = 5.0
MAP = "A" * 1100
"""As long as the map of 28 x 28 patches in a decision."""


class Line:
    """A loop that is given decisions at the line's own rate; its time is the decisions' own."""

    state = State.OWNING
    claims: Mapping[Partition, Claim] = {HOME: Claim(HOME, 1)}

    def __init__(self, values: Iterator[bytes], rate_per_second: float) -> None:
        self._values = values
        self._rate = rate_per_second
        self.given = 0

    def clock(self) -> float:
        """Seconds of the line."""
        return self.given / self._rate

    def poll(self, timeout_seconds: float, *, room: int) -> list[Record]:
        """What comes within the time that a round may wait."""
        count = min(room, int(timeout_seconds * self._rate))
        values = list(itertools.islice(self._values, count))
        first, self.given = self.given, self.given + len(values)
        claim = self.claims[HOME]
        return [Record(*HOME, first + n, 0, "create_time", b"k", value, claim=claim) for n, value in enumerate(values)]

    def commit(self, works: Sequence[Work]) -> Committed:
        """Nothing is kept."""
        return Committed(tuple(works), ())


def stream(said: Sequence[Decision], views: Sequence[str]) -> Iterator[bytes]:
    """Endless decisions of all views in turn, every one under an id of its own."""
    texts = [one.to_bytes().replace(b'"sketch"', f'"padding":"{MAP}","sketch"'.encode()) for one in said]
    for number in itertools.count():
        text = texts[number % len(texts)]
        for place, view in enumerate(views):
            own = text.replace(b"line-1/top", view.encode())
            start = own.index(b'"id":"') + 6
            yield own[:start] + f"{number:032x}{place:032x}".encode() + own[start + 64 :]


def rss_mb() -> float:
    """Resident memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measured(view_count: int, seconds: int, folder: Path) -> str:
    """Run the service's loop over so many seconds of the line."""
    store, settings = FsspecStore.open(str(folder)), WatchSettings()
    views = [f"line-{number}/top" for number in range(view_count)]
    active = stored(store, calibrated_bank(0, count=WINDOW_FRAMES))
    rng = np.random.default_rng(1)
    said = decisions(frames(rng, 200), active)
    line = Line(stream(said, views), view_count * RATE)
    registry = CollectorRegistry()
    reporting = DriftReporting(declare_watch(registry), declare_kafka(registry), frames_per_false_alarm=1e12)
    calibrations = Calibrations(store, read_banks=list, retry_seconds=10, clock=line.clock, told_seconds=lambda _: None)
    before = rss_mb()
    calibrations.take([state_record(state_of(active, view=view)) for view in views])
    followed = Views(calibrations, settings, clock=line.clock)
    replays = Replays(followed, reporting, ends=lambda: {HOME: 0}, replay_decisions=0)
    watch = Watch(
        line,
        followed,
        replays,
        follow_banks=lambda: None,
        commands_topic="commands",
        settings=settings,
        reporting=reporting,
        heartbeat=Heartbeat(limit_seconds=60, clock=line.clock),
        clock=line.clock,
    )
    while line.clock() < 2 * WINDOW_FRAMES / RATE:
        watch.round()
    _age(followed, [one.score or 0.0 for one in said], rng)
    scraped = int(line.clock() / SCRAPE_SECONDS)
    started, sizes, ends = time.process_time(), [rss_mb()], line.clock() + seconds
    for third in range(1, 4):
        while line.clock() < ends - seconds * (3 - third) / 3:
            watch.round()
            scrapes = int(line.clock() / SCRAPE_SECONDS)
            if scrapes > scraped:
                generate_latest(registry)
                scraped = scrapes
        sizes.append(rss_mb())
    spent = time.process_time() - started
    growth = ", ".join(f"{size - before:.0f}" for size in sizes)
    return (
        f"{view_count} views at {RATE}/s for {seconds} s: {spent:.1f} s of CPU, {spent / seconds:.1%} of a core; "
        f"MB above the start after 0, 1, 2 and 3 thirds: {growth}"
    )


def _age(views: Views, scores: Sequence[float], rng: np.random.Generator) -> None:
    """Give every view the past of a line that has run for half an hour with these scores."""
    for view in views:
        assert view.standing is not None
        older = np.sort(rng.choice(scores, REMEMBERED - 4000)).astype(np.float32)
        following = replace(view.standing.following, past=RankHistory(older, older[::2].copy()))
        view.standing = replace(view.standing, following=following)


def reading(view_count: int, broker: KafkaBroker) -> str:
    """What the Kafka client takes of the same core."""
    kafka = broker.settings()
    create_topics(kafka, give_up_seconds=30)
    topic, count = kafka.topic("decisions"), 20_000
    value = b"x" * 2800
    with KafkaSender.open(kafka) as sender:
        for number in range(count):
            sender.send(Outgoing(topic, str(number % view_count).encode(), value))
        sender.flush(120)
    with TransactionLoop.open(kafka, group_id="scale", reads=[topic], writes=[]) as loop:
        found = len(loop.poll(1.0, room=1))
        started = time.process_time()
        while found < count:
            found += len(loop.poll(0.2, room=ROOM))
        spent = time.process_time() - started
    each = spent / count
    return f"reading from Kafka: {each * 1e6:.0f} us a decision, {each * view_count * RATE:.1%} of a core"


def main() -> None:
    """Print a line of each measurement."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--views", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=120)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        sys.stdout.write(measured(asked.views, asked.seconds, Path(folder) / "store") + "\n")
        broker = KafkaBroker(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]), Path(folder) / "kafka").start()
        try:
            sys.stdout.write(reading(asked.views, broker) + "\n")
        finally:
            broker.stop()


if __name__ == "__main__":
    main()
