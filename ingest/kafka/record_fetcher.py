"""Single records by their place, one after another on one connection: pictures that a decision is about."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ingest.kafka.connecting import Deadline, client_options, connected
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.transactions import fetch_options
from ingest.kafka.untyped import Untyped
from ingest.kafka.wire import record_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from threading import Event

    from ingest.kafka.records import Partition, Record
    from ingest.kafka.settings import KafkaSettings

NEAR_OFFSETS = 8
"""So many records are read over on the way to the next one that is wanted: that is quicker than a new fetch. As many
are taken at once: each call of kafka-python waits for its other thread."""
FETCH_BYTES = 256 * 1024
"""Of one fetch: what it brings beyond the record is read for nothing; a larger batch of records comes whole."""
EXTENT_SECONDS = 10.0
"""Retention goes on meanwhile: a record that went is found to be another one."""
BEHIND_THE_END_SECONDS = 1.0
"""For a record that is said to be behind the end: the embedded broker takes the last batch's first record for it."""


@dataclass(frozen=True)
class _Extent:
    """The offset of a partition's first record, and the one behind its last, when it was asked."""

    starts: int
    ends: int
    asked_at: float


class RecordFetcher:
    """Fetches committed records by offset. One thread only."""

    def __init__(self, consumer: Untyped, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._settings = settings
        self._extents: dict[TopicPartition, _Extent] = {}

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
            extent = self._extent(place, wanted := list(offsets), deadline)
            starts, ends = extent.starts, extent.ends
            at: int | None = None
            fetched = deque[Untyped]()
            for offset in wanted:
                if offset < starts:
                    yield None
                    continue
                if at is None or not at <= offset <= at + NEAR_OFFSETS:
                    self._consumer.seek(place, offset)
                    fetched.clear()
                patience = deadline if offset < ends else Deadline(BEHIND_THE_END_SECONDS)
                record = self._record_from(offset, fetched, patience)
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

    def _extent(self, place: TopicPartition, wanted: Sequence[int], deadline: Deadline) -> _Extent:
        """Between which offsets the partition has records; asked anew for what lies behind, and every few seconds."""
        known, now = self._extents.get(place), time.monotonic()
        if known is None or now - known.asked_at > EXTENT_SECONDS or max(wanted, default=0) >= known.ends:
            starts = self._consumer.beginning_offsets([place], timeout_ms=deadline.left_ms)[place]
            ends = self._consumer.end_offsets([place], timeout_ms=deadline.left_ms)[place]
            known = self._extents[place] = _Extent(starts, ends, asked_at=now)
        return known

    def _record_from(self, offset: int, fetched: deque[Untyped], deadline: Deadline) -> Record | None:
        """The first record at this offset or behind it, of those fetched or to come; None where none comes in time."""
        while True:
            while fetched:
                each = fetched.popleft()
                if each.offset >= offset:
                    return record_from(each)
            if deadline.passed:
                return None
            timeout_ms = max(1, min(200, deadline.left_ms))
            for records in self._consumer.poll(timeout_ms=timeout_ms, max_records=NEAR_OFFSETS).values():
                fetched.extend(records)
