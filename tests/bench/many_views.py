"""What many views cost: `python -m tests.bench.many_views VIEWS FRAMES`, with PATCHLINE_TEST_KAFKA_HOME.

Sends FRAMES frames of each of VIEWS views to a real Kafka while inspection and trainer run, as a sender does that puts
a serial number into its key, and prints memory, metric series, the time of a scrape and of a restart of each service.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.brokers import KafkaBroker
from tests.e2e.services import Answers, Services, page, wait_until
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from tests.e2e.services import Service

PICTURES = 20


def main(views: int, frames: int) -> None:
    """Send, wait for every answer, look."""
    home = Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"])
    with TemporaryDirectory() as folder:
        broker = KafkaBroker(home, Path(folder) / "kafka").start()
        try:
            kafka = broker.settings(partitions=6)
            with Services(Path(folder), kafka, over={"views": {"*": {"deadline_seconds": 3600}}}) as services:
                services.run("topics", "create")
                run(services, views, frames)
        finally:
            broker.kill()


def run(services: Services, views: int, frames: int) -> None:
    """The services on a running broker."""
    inspect, train = services.start("inspect"), services.start("train")
    services.until_ready(inspect)
    services.until_ready(train)
    began = time.monotonic()
    topic, pictures = services.kafka.topic("frames"), [jpeg(number) for number in range(PICTURES)]
    with KafkaSender.open(services.kafka) as sender:
        for number in range(views * frames):
            key = f"line-7/SN{number % views}".encode()
            sender.send(Outgoing(topic, key, pictures[number % PICTURES]))
    with Answers(services.kafka) as answers:
        wait_until(lambda: answers.read() >= views * frames, "an answer to every frame")
        letters = len(answers.dead_letters)
    say(f"{views} views of {frames} frames: answered within {time.monotonic() - began:.0f} s, {letters} dead letters")
    wait_until(
        lambda: services.metric(train, "patchline_kafka_consumer_lag_records") == 0, "the trainer having read all"
    )
    for service in (inspect, train):
        show(services, service)
    for service in (inspect, train):
        service.stop()
        began = time.monotonic()
        services.until_ready(services.start(service.name))
        say(f"{service.name}: ready {time.monotonic() - began:.1f} s after its start")


def show(services: Services, service: Service) -> None:
    """Memory, series and the time of a scrape."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    memory_kb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    began = time.monotonic()
    text = page(services.port_of(service), "/metrics") or ""
    seconds = time.monotonic() - began
    series = sum(not line.startswith("#") for line in text.splitlines())
    say(f"{service.name}: {memory_kb / 1024:.0f} MiB, {series} series, scrape {seconds:.2f} s, {len(text) >> 10} KiB")


def say(line: str) -> None:
    """Print it at once."""
    print(line, flush=True)  # noqa: T201 -- what it is for


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
