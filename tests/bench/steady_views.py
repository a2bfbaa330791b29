"""What many views cost that go on sending: `python -m tests.bench.steady_views FOLDER`, with PATCHLINE_TEST_KAFKA_HOME.

Sends each of VIEWS views a frame a second to a real Kafka while inspection and trainer run, and takes a sample every
ten seconds at least: memory, series, the time of a scrape and what waits. In the end each service is started again.
FOLDER keeps broker, store and samples (`samples.jsonl`): the same command goes on where an earlier one ended, until
SECONDS are sampled. A machine that is too slow for the rate shows it by what waits.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.kafka.records import Outgoing
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.writers import KafkaSender
from tests.brokers import KafkaBroker
from tests.e2e.services import Services, page
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from tests.e2e.services import Service

SAMPLE_SECONDS = 10
PICTURES = 20
LEARNING = {"first_build_frames": 9999, "window_frames": 9999, "window_span_frames": 9999, "deadline_seconds": 3600}
"""Builds are another matter: `tests.bench.build_memory`."""


def main() -> None:
    """Go on until enough is sampled."""
    parser = argparse.ArgumentParser(description="Views that send a frame a second.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--views", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    broker = KafkaBroker(Path(os.environ["PATCHLINE_TEST_KAFKA_HOME"]), given.folder / "kafka").start()
    try:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        with Services(given.folder, kafka, over={"views": {"*": LEARNING}}) as services:
            services.run("topics", "create")
            run(services, given.folder / "samples.jsonl", views=given.views, seconds=given.seconds)
    finally:
        broker.stop()


def run(services: Services, samples: Path, *, views: int, seconds: int) -> None:
    """Send and sample, then start each service again."""
    running = {name: services.start(name) for name in ("inspect", "train")}
    for service in running.values():
        services.until_ready(service)
    topic, pictures = services.kafka.topic("frames"), [jpeg(number) for number in range(PICTURES)]
    begun, sent, before = time.monotonic(), 0, 0.0
    with KafkaSender.open(services.kafka) as sender:
        while sampled(samples) < seconds:
            elapsed = time.monotonic() - begun
            while sent < elapsed * views:
                key = f"line-{sent % 10}/camera-{sent % views}".encode()
                sender.send(Outgoing(topic, key, pictures[sent % PICTURES]))
                sent += 1
            if elapsed >= before + SAMPLE_SECONDS:
                shown = {name: facts(services, service) for name, service in running.items()}
                note(samples, {"views": views, "seconds": round(elapsed - before, 1), "sent": sent, **shown})
                before = elapsed
            time.sleep(0.01)
    for name, service in running.items():
        service.stop()
        at = time.monotonic()
        services.until_ready(services.start(name))
        note(samples, {"views": views, "restarted": name, "ready_after_seconds": round(time.monotonic() - at, 1)})


def facts(services: Services, service: Service) -> dict[str, Any]:
    """Memory, series, the time of a scrape, CPU so far, and what waits."""
    process = Path(f"/proc/{service.process.pid}")
    status = process.joinpath("status").read_text()
    memory_kb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    ticks = process.joinpath("stat").read_text().rsplit(") ", 1)[1].split()[11:13]
    at = time.monotonic()
    text = page(services.port_of(service), "/metrics") or ""
    seconds = time.monotonic() - at
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    lag = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("patchline_kafka_consumer_lag_records")]
    return {
        "memory_mib": round(memory_kb / 1024),
        "series": len(lines),
        "scrape_seconds": round(seconds, 2),
        "cpu_seconds": sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        "lag_records": sum(lag),
    }


def sampled(samples: Path) -> float:
    """Seconds that were sampled so far."""
    lines = samples.read_text().splitlines() if samples.exists() else []
    return sum(json.loads(line).get("seconds", 0) for line in lines)


def note(samples: Path, sample: dict[str, Any]) -> None:
    """Print a sample, and keep it."""
    line = json.dumps(sample)
    with samples.open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)  # noqa: T201 -- what it is for


if __name__ == "__main__":
    main()
