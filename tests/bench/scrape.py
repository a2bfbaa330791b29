"""What a scrape of many views with banks costs: `python -m tests.bench.scrape [--views 1000] [--busy 2]`.

One process serves the inspection's metrics of VIEWS views, each of which decides some frames between two scrapes;
another process scrapes, and BUSY further ones spin meanwhile. A thread beside the page goes round as a loop does, in
pieces between which it lets go of the interpreter, and shows how long it is kept waiting. Prints seconds by the wall,
seconds of CPU, and what the library alone takes for the same registry.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import time
from statistics import median
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, generate_latest

from monitoring.exposition import exposition
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import InferenceMetrics, declare_inference, declare_kafka, open_view, set_bank

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCRAPES = 20
FRAMES = 15
PIECES = 20
SPIN = "while True: pass"
SCRAPER = """
import sys, time
from urllib.request import urlopen
for address in sys.stdin:
    at = time.perf_counter()
    urlopen(address.strip()).read()
    print(time.perf_counter() - at, flush=True)
"""


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description="The cost of a scrape.")
    parser.add_argument("--views", type=int, default=1000)
    parser.add_argument("--busy", type=int, default=0)
    given = parser.parse_args()
    registry, before_mib = CollectorRegistry(), resident_mib()
    inference, views = declare_inference(registry), [f"line-{each % 10}/camera-{each}" for each in range(given.views)]
    declare_kafka(registry)
    for view in views:
        open_view(inference, view)
        inference.threshold.labels(view=view).set(3.5)
        set_bank(inference, view, version="a" * 64, epoch=3, provider="cpu", precision="fp32")
    busy = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(given.busy)]
    try:
        found = scraped(registry, lambda: decide(inference, views))
    finally:
        for each in busy:
            each.kill()
            each.wait()
    text = exposition(registry)
    found |= {
        "series": sum(not line.startswith(b"#") for line in text.splitlines()),
        "bytes": len(text),
        "memory_of_views_mib": resident_mib() - before_mib,
        "library_cpu_seconds": cpu_seconds(lambda: generate_latest(registry)),
        "gzip_cpu_seconds": cpu_seconds(lambda: gzip.compress(text, 1)),
    }
    print(json.dumps(found, indent=1))  # noqa: T201 -- what it is for


def scraped(registry: CollectorRegistry, decide: Callable[[], None]) -> dict[str, object]:
    """Every scrape after new decisions, its CPU time measured apart."""
    heartbeat, ready = Heartbeat(limit_seconds=60, clock=time.monotonic), Readiness(ready=True, sentence="Ready.")
    walls, cpus, calm, kept = [], [], rounds(seconds=2), []
    with (
        HealthServer(registry=registry, heartbeat=heartbeat, ready=lambda: ready, port=0) as server,
        subprocess.Popen(
            [sys.executable, "-c", SCRAPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as scraper,
    ):
        for _ in range(SCRAPES):
            decide()
            with Looper() as looper:
                walls.append(float(asked(scraper, f"http://127.0.0.1:{server.port}/metrics")))
            kept += looper.took
            decide()
            cpus.append(cpu_seconds(lambda: exposition(registry)))
        scraper.kill()
    return {
        "scrape_seconds": spread(walls),
        "page_cpu_seconds": spread(cpus),
        "round_seconds_calm": spread(calm),
        "round_seconds_beside_a_scrape": spread(kept),
    }


def asked(scraper: subprocess.Popen[str], address: str) -> str:
    """One scrape, told by who did it."""
    if scraper.stdin is None or scraper.stdout is None:
        raise RuntimeError("the scraper has no pipes")
    scraper.stdin.write(f"{address}\n")
    scraper.stdin.flush()
    return scraper.stdout.readline()


class Looper:
    """A thread that goes round while it is entered."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self._stop = Event()
        self._thread = Thread(target=lambda: self.took.extend(rounds(stop=self._stop)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def rounds(*, seconds: float = 3600, stop: Event | None = None) -> list[float]:
    """Seconds of each round of some small pieces of work; in between the interpreter is let go of, as by reading."""
    took, ends = [], time.perf_counter() + seconds
    while time.perf_counter() < ends and not (stop and stop.is_set()):
        at = time.perf_counter()
        for _ in range(PIECES):
            sum(range(300))
            time.sleep(0)
        took.append(time.perf_counter() - at)
        time.sleep(0.003)
    return took


def decide(inference: InferenceMetrics, views: Sequence[str]) -> None:
    """Some frames of every view."""
    chance = random.Random(1)  # noqa: S311 -- no secret
    for view in views:
        for _ in range(FRAMES):
            inference.frames_received.labels(view=view).inc()
            inference.decisions.labels(view=view, verdict="pass").inc()
            inference.score_ratio.labels(view=view).observe(chance.uniform(0.4, 1.2))
            inference.latency.labels(view=view).observe(chance.uniform(0.02, 0.2))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 99 in 100, and worst."""
    ordered = sorted(values)
    shown = {"median": median(ordered), "p99": ordered[int(0.99 * (len(ordered) - 1))], "worst": ordered[-1]}
    return {name: round(value, 4) for name, value in shown.items()}


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process."""
    at = time.process_time()
    work()
    return round(time.process_time() - at, 4)


def resident_mib() -> int:
    """Memory of this process."""
    with open("/proc/self/status", encoding="utf-8") as status:  # noqa: PTH123 -- no file of ours
        kb = next(line for line in status if line.startswith("VmRSS")).split()[1]
    return int(kb) // 1024


if __name__ == "__main__":
    main()
