"""Frames offered at ten times what can be scored: they wait in Kafka, not in memory, and what is too late says so."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from ingest.decision import Reason, Verdict
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.e2e.services import Answers, Service, Services, wait_until
from tests.inference.sample_bank import VIEW, jpeg, sample_bank, state, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OFFERED_SECONDS = int(os.environ.get("PATCHLINE_TEST_OVERLOAD_SECONDS", "40"))
"""`make overload` takes five minutes."""
MEASURED_FRAMES, TIMES = 600, 10
FIRST_SECONDS = 20
"""Memory is compared with what it was by then: allocators and the runtime have settled."""
GROWTH_MIB = 24.0
QUEUE_FRAMES = 64


@pytest.fixture
def services(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Services]:
    """Services with topics and a bank of good plates in force."""
    kafka = kafka_broker.settings(partitions=2)
    with Services(tmp_path, kafka) as made:
        made.run("topics", "create")
        in_force = stored(
            FsspecStore.open(made.store), sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))
        ).in_force
        with KafkaSender.open(kafka) as sender:
            sender.send_and_wait(Outgoing(kafka.topic("banks"), VIEW.encode(), state(in_force).to_bytes()), 30)
        yield made


def resident_mib(service: Service) -> float:
    """What a process holds in memory now."""
    with open(f"/proc/{service.process.pid}/status") as lines:  # noqa: PTH123 -- no file to speak of
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def frames(kafka: KafkaSettings, count: int) -> list[Outgoing]:
    """So many frames of one view."""
    return [Outgoing(kafka.topic("frames"), VIEW.encode(), jpeg(seed)) for seed in range(count)]


def measured_capacity(services: Services, inspect: Service, some: Sequence[Outgoing]) -> float:
    """Frames decided a second, all of them waiting in Kafka."""
    with KafkaSender.open(services.kafka) as sender:
        for number in range(MEASURED_FRAMES):
            sender.send(some[number % len(some)])
    first = services.metric(inspect, "patchline_decisions_total")
    begun = time.monotonic()
    wait_until(lambda: services.metric(inspect, "patchline_decisions_total") >= MEASURED_FRAMES, "the first frames")
    return (MEASURED_FRAMES - first) / (time.monotonic() - begun)


@contextmanager
def offered(kafka: KafkaSettings, some: Sequence[Outgoing], frames_per_second: float) -> Iterator[list[int]]:
    """Frames at that rate, while entered; gives a list that holds how many were sent."""
    stop, sent = Event(), [0]

    def send() -> None:
        begun = time.monotonic()
        with KafkaSender.open(kafka) as sender:
            while not stop.wait(0.02):
                while sent[0] < (time.monotonic() - begun) * frames_per_second and not stop.is_set():
                    sender.send(some[sent[0] % len(some)])
                    sent[0] += 1

    thread = Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join(60)


def test_memory_is_flat_when_ten_times_too_much_is_offered(
    services: Services, record_property: Callable[[str, object], None]
) -> None:
    """The queue stays bounded, partitions are paused, late frames keep their score, and SIGTERM is obeyed at once."""
    inspect, some = services.start("inspect"), frames(services.kafka, 20)
    services.until_ready(inspect)
    capacity = measured_capacity(services, inspect, some)
    resident, depth, paused = list[float](), 0.0, 0.0
    with offered(services.kafka, some, TIMES * capacity) as sent:
        for _ in range(OFFERED_SECONDS):
            time.sleep(1)
            resident.append(resident_mib(inspect))
            depth = max(depth, services.metric(inspect, "patchline_queue_depth_frames"))
            paused = max(paused, services.metric(inspect, "patchline_kafka_partitions_paused"))
    stopped_at = time.monotonic()
    assert inspect.stop() == 0
    stopped_in = time.monotonic() - stopped_at
    early, late = max(resident[:FIRST_SECONDS]), max(resident[FIRST_SECONDS:])
    figures = {"capacity": capacity, "offered": sent[0] / OFFERED_SECONDS, "early": early, "late": late}
    for name, value in {**figures, "stopped_in": stopped_in}.items():
        record_property(name, value)
    print({name: round(value, 1) for name, value in figures.items()}, f"stopped in {stopped_in:.1f} s")  # noqa: T201
    assert late - early < GROWTH_MIB
    assert depth <= QUEUE_FRAMES
    assert paused >= 1
    with Answers(services.kafka) as answers:
        said = answers.read_to_end().decisions
    too_late = [each for each in said if each.reason is Reason.DEADLINE]
    assert too_late
    assert all(each.verdict is Verdict.UNDECIDED and each.score is not None for each in too_late)
