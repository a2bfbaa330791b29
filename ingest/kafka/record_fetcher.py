"""Single records by their place, one after another on one connection: pictures that a decision is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ingest.kafka.connecting import Deadline, client_options, connected
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.transactions import fetch_options
from ingest.kafka.wire import record_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from threading import Event

    from ingest.kafka.records import Partition, Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

NEAR_OFFSETS = 8
"""So many records are read over on the way to the next one that is wanted: that is quicker than a new fetch."""
FETCH_BYTES = 256 * 1024
"""Of one fetch: what it brings beyond the record is read for nothing; a larger batch of records comes whole."""
BEHIND_THE_END_SECONDS = 1.0
"""For a record that is said to be behind the end: the embedded broker takes the last batch's first record for it."""


class RecordFetcher:
    """Fetches committed records by offset. One thread only."""

    def __init__(self, consumer: Untyped, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._settings = settings

    @classmethod
    def open(cls, settings: KafkaSettings, *, give_up_seconds: float | None = None, stop: Event | None = None) -> Self:
        """Connect. Raises BrokerUnreachable where no broker answers in time, or `stop` was set."""
        options = {
            **client_options(settings),
            **fetch_options(settings),
            "max_partition_fetch_bytes": min(FETCH_BYTES, settings.fetch_partition_bytes),
        }
        consumer = connected(
            lambda: KafkaConsumer(**options, group_id=None),
            settings,
            give_up_seconds=give_up_seconds,
            stop=stop,
        )
        return cls(consumer, settings)

    def fetch(self, partition: Partition, offsets: Iterable[int], *, timeout_seconds: float) -> Iterator[Record | None]:
        """The record at each of some offsets, in ascending order; None where Kafka has none there any more.

        Raises BrokerUnreachable where the answers do not come in time.
        """
        place, deadline = TopicPartition(*partition), Deadline(timeout_seconds)
        try:
            self._consumer.assign([place])
            ends = self._consumer.end_offsets([place], timeout_ms=deadline.left_ms)[place]
            starts = self._consumer.beginning_offsets([place], timeout_ms=deadline.left_ms)[place]
            at: int | None = None
            for offset in offsets:
                if offset < starts:
                    yield None
                    continue
                if at is None or not at <= offset <= at + NEAR_OFFSETS:
                    self._consumer.seek(place, offset)
                record = self._record_from(offset, deadline if offset < ends else Deadline(BEHIND_THE_END_SECONDS))
                if record is None and offset < ends:
                    raise BrokerUnreachable(f"{place.topic}-{place.partition}@{offset} was not read in time")
                at = None if record is None else record.offset + 1
                yield record if record is not None and record.offset == offset else None
        except KafkaError as error:
            raise BrokerUnreachable(f"reading was interrupted: {error}") from error

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record_from(self, offset: int, deadline: Deadline) -> Record | None:
        """The first record at this offset or behind it; None where none comes in time."""
        while not deadline.passed:
            for records in self._consumer.poll(timeout_ms=max(1, min(200, deadline.left_ms)), max_records=1).values():
                for each in records:
                    if each.offset >= offset:
                        return record_from(each)
        return None
