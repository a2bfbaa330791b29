"""What became of every frame that was sent: read from the outside, as any reader of the topics would."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ingest.dead_letter import DeadLetter, parse_dead_letter
from ingest.decision import Decision
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.readers import WholeTopicReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ingest.contract import SourceRecord
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class FrameOutcome:
    """One committed decision or dead letter, and when (monotonic seconds) a read_committed reader saw it."""

    message: Decision | DeadLetter
    seen_at: float

    @property
    def source(self) -> SourceRecord:
        """The input record it answers."""
        return self.message.source

    @property
    def decision(self) -> Decision | None:
        """The decision, where it is one."""
        return self.message if isinstance(self.message, Decision) else None


@dataclass(frozen=True)
class Balance:
    """Input records against outcomes, counted before any de-duplication."""

    lost: int
    """Input records without a decision or dead letter."""
    doubled: int
    """Input records with more than one."""


def balance(sent: Iterable[SourceRecord], outcomes: Iterable[FrameOutcome]) -> Balance:
    """Hold every input record against its outcomes."""
    answers: dict[SourceRecord, int] = defaultdict(int)
    for outcome in outcomes:
        answers[outcome.source] += 1
    inputs = set(sent)
    return Balance(
        lost=sum(answers[source] == 0 for source in inputs),
        doubled=sum(count > 1 for count in answers.values()),
    )


class OutcomeReader:
    """Follows decisions and dead letters on a thread of its own while it is entered."""

    def __init__(self, kafka: KafkaSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kafka = kafka
        self._clock = clock
        self._first: dict[SourceRecord, FrameOutcome] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)

    def first_of(self, sources: Collection[SourceRecord]) -> dict[SourceRecord, FrameOutcome]:
        """The first outcome of each of these records that has one."""
        with self._changed:
            return {source: self._first[source] for source in sources if source in self._first}

    @property
    def answered(self) -> int:
        """How many input records have an outcome. Raises what ended the thread, if something did."""
        if self._failure is not None:
            raise self._failure
        with self._changed:
            return len(self._first)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Wait until so many input records have an outcome; whether they had in time."""
        ends = self._clock() + seconds
        with self._changed:
            while len(self._first) < count and self._failure is None:
                left = ends - self._clock()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return self.answered >= count

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with _reader(self._kafka) as reader:
                while not self._stop.is_set():
                    self._take(_poll(reader), self._clock())
        except BaseException as error:  # noqa: BLE001 -- raised in the thread that reads
            self._failure = error
            with self._changed:
                self._changed.notify_all()

    def _take(self, records: Iterable[Record], seen_at: float) -> None:
        for record in records:
            outcome = outcome_of(record, self._kafka, seen_at)
            with self._changed:
                self._first.setdefault(outcome.source, outcome)
                self._changed.notify_all()


def all_outcomes(kafka: KafkaSettings, *, seconds: float) -> list[FrameOutcome]:
    """Every decision and dead letter there is now, from the beginning. Raises BrokerUnreachable."""
    with _reader(kafka) as reader:
        return [outcome_of(record, kafka, 0.0) for record in reader.read_to_end(seconds)]


def outcome_of(record: Record, kafka: KafkaSettings, seen_at: float) -> FrameOutcome:
    """The outcome in a record of one of the two topics. Raises BadMessage where it is neither."""
    if record.topic == kafka.topic("decisions"):
        return FrameOutcome(Decision.from_bytes(record.value or b""), seen_at)
    return FrameOutcome(parse_dead_letter(key=record.key, value=record.value, headers=record.headers), seen_at)


def end_offsets(kafka: KafkaSettings) -> Mapping[tuple[str, int], int]:
    """How many records every partition of frames holds: (topic, partition) to the next offset."""
    with WholeTopicReader.open(kafka, topics=kafka.frame_topics, give_up_seconds=kafka.give_up_seconds) as reader:
        return {(each.topic, each.partition): end for each, end in reader.end_offsets().items()}


def _reader(kafka: KafkaSettings) -> WholeTopicReader:
    topics = [kafka.topic("decisions"), kafka.topic("frames.dead-letter")]
    return WholeTopicReader.open(kafka, topics=topics, give_up_seconds=kafka.give_up_seconds)


def _poll(reader: WholeTopicReader) -> list[Record]:
    try:
        return reader.poll(POLL_SECONDS)
    except BrokerUnreachable:
        return []  # it is polled again; what is missing in the end is counted as lost
