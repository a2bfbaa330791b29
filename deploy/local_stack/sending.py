"""The sending side of a run: frames through a real camera, each remembered with where it landed and when it left."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from ingest.cameras.camera import Camera
from ingest.contract import SourceRecord
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from ingest.cameras.source import CameraFrame
    from ingest.kafka.records import Outgoing
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.writers import Pending
    from monitoring.metrics import CameraMetrics

FLUSH_SECONDS = 30.0


@dataclass(frozen=True)
class SentFrame:
    """A frame in the topic, and when (monotonic seconds) the camera let go of it."""

    frame: CameraFrame
    source: SourceRecord
    sent_at: float


class RecordingSender:
    """A sender that remembers its records, so that each can be found in the topic afterwards."""

    def __init__(self, sender: KafkaSender, *, clock: Callable[[], float]) -> None:
        self._sender = sender
        self._clock = clock
        self.pending: list[tuple[Pending, float]] = []
        self.sent_bytes = 0

    def send(self, record: Outgoing, /) -> None:
        """Take one record on its way. Raises SendFailed."""
        at = self._clock()
        self.pending.append((self._sender.send(record), at))
        self.sent_bytes += len(record.value or b"")

    def flush(self) -> None:
        """Wait until every record is in the topic. Raises SendFailed."""
        self._sender.flush(FLUSH_SECONDS)

    def landed(self, number: int) -> tuple[SourceRecord, float]:
        """Where the n-th record lies, and when it was sent. Raises SendFailed where it was not acknowledged."""
        pending, at = self.pending[number]
        sent = pending.wait(FLUSH_SECONDS)
        source = SourceRecord(topic=sent.partition.topic, partition=sent.partition.partition, offset=sent.offset)
        return source, at


def send_all(
    kafka: KafkaSettings,
    key: str,
    frames: Iterable[CameraFrame],
    *,
    rate_per_second: float | None,
    on_sent: Callable[[int], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[SentFrame]:
    """Send frames as one camera start and return them in order, all acknowledged.

    `on_sent` is called after each frame with the bytes sent so far. Raises SendFailed, BrokerUnreachable.
    """
    topic = kafka.topic("frames")
    with KafkaSender.open(kafka, writes=(topic,), give_up_seconds=kafka.give_up_seconds) as sender:
        remembering = RecordingSender(sender, clock=clock)
        camera = Camera(remembering, key, start=uuid4(), topic=topic)
        sent = []
        for _, frame in camera.stream(frames, rate_per_second=rate_per_second, sleep=sleep, clock=clock):
            sent.append(frame)
            on_sent(remembering.sent_bytes)
        return [SentFrame(frame, *remembering.landed(number)) for number, frame in enumerate(sent)]


def stream(
    kafka: KafkaSettings,
    key: str,
    frames: Iterable[CameraFrame],
    *,
    rate_per_second: float | None,
    product: str | None,
    start: UUID,
    metrics: CameraMetrics | None = None,
) -> Iterator[CameraFrame]:
    """Send frames as one camera start for as long as they come, giving each once it is sent.

    Raises SendFailed, BrokerUnreachable, TopicMissing; BadViewName where key and product name no view.
    """
    topic = kafka.topic("frames")
    with KafkaSender.open(kafka, writes=(topic,), give_up_seconds=kafka.give_up_seconds) as sender:
        camera = Camera(Flushed(sender), key, start=start, product=product, topic=topic, metrics=metrics)
        for _, frame in camera.stream(frames, rate_per_second=rate_per_second, sleep=time.sleep, clock=time.monotonic):
            yield frame


class Flushed:
    """A sender whose flush has a deadline, as a camera expects it."""

    def __init__(self, sender: KafkaSender) -> None:
        self._sender = sender

    def send(self, record: Outgoing, /) -> None:
        """Take one record on its way. Raises SendFailed."""
        self._sender.send(record)

    def flush(self) -> None:
        """Wait until every record is in the topic. Raises SendFailed."""
        self._sender.flush(FLUSH_SECONDS)


def held_back(frames: Iterable[CameraFrame], *, has_room: Callable[[], bool]) -> Iterator[CameraFrame]:
    """Frames given out only while `has_room` is true: while one more may be under way."""
    for frame in frames:
        while not has_room():
            time.sleep(0.002)
        yield frame
