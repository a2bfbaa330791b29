"""Both ends of the stream a fault is tried on: numbered frames that never stop, and every answer there is."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Self

from ingest.dead_letter import parse_dead_letter
from ingest.decision import Decision
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ingest.contract import SourceRecord
    from ingest.dead_letter import DeadLetter
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings

Place = tuple[int, int]
"""Partition and offset of a record of `frames`."""


def view_of(partition: int) -> str:
    """The one view of a partition."""
    return f"line-{partition}/camera"


class Feeder:
    """Sends numbered JPEG frames, each view to its partition, while entered; waits for a broker that is away."""

    def __init__(self, kafka: KafkaSettings, *, frames_per_second: float) -> None:
        self._kafka = kafka
        self._frames_per_second = frames_per_second
        self._frames = [jpeg(seed) for seed in range(40)]
        self._stop = Event()
        self._thread = Thread(target=self._run, name="feeder", daemon=True)
        self.acknowledged: set[Place] = set()
        """Of the last acknowledgements; what is not here may be in the topic or not."""

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            try:
                with KafkaSender.open(self._kafka, stop=self._stop) as sender:
                    while not self._stop.wait(1 / self._frames_per_second):
                        sent = sender.send_and_wait(self._frame(number), 20)
                        self.acknowledged.add((sent.partition.partition, sent.offset))
                        number += 1
            except KafkaFailure:
                number += 1  # it may be in the topic

    def _frame(self, number: int) -> Outgoing:
        partition = number % self._kafka.partitions
        return Outgoing(
            self._kafka.topic("frames"),
            view_of(partition).encode(),
            self._frames[number % len(self._frames)],
            (("frame-id", str(number).encode()),),
            partition=partition,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)


@dataclass
class Seen:
    """All committed answers so far, in the order a read_committed reader saw them."""

    count: Counter[Place] = field(default_factory=Counter)
    decisions: list[Decision] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    latest: dict[int, float] = field(default_factory=dict)
    """Per partition, when (monotonic seconds) its latest answer was seen."""

    def take(self, records: Iterable[Record], decisions_topic: str, at: float) -> None:
        """Count what was read."""
        for each in records:
            source = self._source(each, decisions_topic)
            self.count[source.partition, source.offset] += 1
            self.latest[source.partition] = at

    def _source(self, record: Record, decisions_topic: str) -> SourceRecord:
        if record.topic == decisions_topic:
            self.decisions.append(Decision.from_bytes(record.value or b""))
            return self.decisions[-1].source
        self.dead_letters.append(parse_dead_letter(key=record.key, value=record.value, headers=record.headers))
        return self.dead_letters[-1].source


class Follower:
    """Reads every committed answer on a thread of its own while it is entered, whatever happens to the broker."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._stop = Event()
        self._lock = Lock()
        self._seen = Seen()
        self._thread = Thread(target=self._run, name="follower", daemon=True)

    def answered(self, ends: Mapping[int, int]) -> bool:
        """Whether every record before these ends has an answer."""
        with self._lock:
            return all((partition, each) in self._seen.count for partition, end in ends.items() for each in range(end))

    def all_partitions_answered_since(self, moment: float) -> bool:
        """Whether every partition has had an answer after a moment (monotonic seconds)."""
        with self._lock:
            latest = self._seen.latest
            return all(latest.get(each, 0.0) > moment for each in range(self._kafka.partitions))

    def saw(self, this: Callable[[Decision], bool]) -> bool:
        """Whether there was such a decision."""
        with self._lock:
            return any(map(this, self._seen.decisions))

    def _run(self) -> None:
        decisions = self._kafka.topic("decisions")
        with WholeTopicReader.open(self._kafka, topics=[decisions, self._kafka.topic("frames.dead-letter")]) as reader:
            while not self._stop.is_set():
                try:
                    records = reader.poll(0.1)
                except KafkaFailure:
                    self._stop.wait(0.1)
                    continue
                with self._lock:
                    self._seen.take(records, decisions, time.monotonic())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


def whole(kafka: KafkaSettings) -> Seen:
    """What a reader who comes now finds from the beginning, before any de-duplication."""
    seen, decisions = Seen(), kafka.topic("decisions")
    with WholeTopicReader.open(
        kafka, topics=[decisions, kafka.topic("frames.dead-letter")], give_up_seconds=30
    ) as reader:
        seen.take(reader.stream_to_end(60), decisions, time.monotonic())
    return seen


def frames_ends(kafka: KafkaSettings) -> dict[int, int]:
    """How many records each partition of `frames` holds."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic("frames")], give_up_seconds=30) as reader:
        return {each.partition: end for each, end in reader.end_offsets().items()}
