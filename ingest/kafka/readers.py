"""Reading whole topics without a group: bank states, commands, feedback, and the counting of decisions."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Self

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ingest.kafka.connecting import Deadline, client_options, connected, require_topics
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.records import Partition, Record, partition_in
from ingest.kafka.transactions import fetch_options
from ingest.kafka.wire import record_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from threading import Event

    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped


log = structlog.get_logger(__name__)

ALONG = 10_000
"""More records than one fetch brings."""


class WholeTopicReader:
    """Reads every committed record of its topics from the beginning, then follows them. One thread only."""

    def __init__(self, consumer: Untyped, settings: KafkaSettings, partitions: Iterable[Partition]) -> None:
        self._consumer = consumer
        self._settings = settings
        self._partitions = tuple(partitions)
        self._ends = self.end_offsets()
        self._behind = {each for each, end in self._ends.items() if end > 0}

    @classmethod
    def open(
        cls,
        settings: KafkaSettings,
        *,
        topics: Sequence[str],
        starts: Mapping[Partition, int] | None = None,
        only: Collection[Partition] | None = None,
        give_up_seconds: float | None = None,
        stop: Event | None = None,
    ) -> Self:
        """Connect and note where the topics end now.

        Args:
            settings: where and how patiently.
            topics: full topic names.
            starts: offsets to start from; a partition left out is read from its beginning.
            only: the partitions to read; one that there is not stands for the one that it wraps around to. None reads
                all.
            give_up_seconds: how long to wait for a broker; None waits until `stop`.
            stop: ends the wait for a broker.

        Raises:
            BrokerUnreachable: no broker answered in time.
            TopicMissing: one of the topics does not exist.
        """
        consumer = connected(lambda: _consumer(settings), settings, give_up_seconds=give_up_seconds, stop=stop)
        require_topics(consumer.partitions_for_topic, topics, otherwise=consumer.close)
        known = [Partition(topic, each) for topic in topics for each in consumer.partitions_for_topic(topic)]
        partitions = known if only is None else _existing(only, known)
        consumer.assign([TopicPartition(*each) for each in partitions])
        for each in partitions:
            _seek(consumer, TopicPartition(*each), (starts or {}).get(each))
        return cls(consumer, settings, partitions)

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the topics when this reader opened has been read."""
        self._behind = {each for each in self._behind if self._position(each) < self._ends[each]}
        return not self._behind

    def poll(self, timeout_seconds: float, *, room: int = 500) -> list[Record]:
        """The next records, at most `room`, waiting up to `timeout_seconds` for the first.

        Raises:
            BrokerUnreachable: reading failed in a way that waiting may cure.
        """
        try:
            batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=room)
        except KafkaError as error:
            raise BrokerUnreachable(f"reading was interrupted: {error}") from error
        return [each for each in map(record_from, chain.from_iterable(batches.values())) if not _told_unread(each)]

    def read_to_end(self, timeout_seconds: float) -> list[Record]:
        """Everything up to the ends noted at opening, and what came along. Raises BrokerUnreachable, late.

        The embedded broker takes the first record of the last batch for the end; the rest of it came along.
        """
        return [*self.stream_to_end(timeout_seconds), *self.poll(0, room=ALONG)]

    def stream_to_end(self, timeout_seconds: float) -> Iterator[Record]:
        """Everything up to the ends noted at opening, held a poll at a time. Raises BrokerUnreachable, late."""
        deadline = Deadline(timeout_seconds)
        while not self.caught_up:
            if deadline.passed:
                raise BrokerUnreachable(f"still {len(self._behind)} partitions to read after {timeout_seconds} s")
            yield from self.poll(min(0.2, deadline.left_seconds))

    def skip_to_last(self, offsets: int) -> None:
        """Leave out all but the last so many offsets of each partition; markers of transactions take offsets, too."""
        for each, end in self._ends.items():
            self._consumer.seek(TopicPartition(*each), max(0, end - offsets))

    def skip_to(self, moment: datetime) -> None:
        """Leave out what was written before a moment, by the records' own times; what has none that late is read."""
        at = int(moment.timestamp() * 1000)
        places = [TopicPartition(*each) for each in self._partitions]
        found = self._consumer.offsets_for_times(
            dict.fromkeys(places, at), timeout_ms=int(self._settings.request_timeout_seconds * 1000)
        )
        for place in places:
            first = found.get(place)
            self._consumer.seek(place, self._ends[Partition(*place)] if first is None else first.offset)

    def stream_what_is_written(self, timeout_seconds: float) -> Iterator[Record]:
        """Everything written by now, once it is known to be committed: a transaction still open is waited for.

        Raises BrokerUnreachable, late.
        """
        deadline, ends = Deadline(timeout_seconds), dict[Partition, int]()
        while len(ends) < len(self._partitions) or any(self._position(each) < end for each, end in ends.items()):
            if deadline.passed:
                raise BrokerUnreachable(f"not read to the end after {timeout_seconds:.1f} s")
            yield from self.poll(min(0.2, deadline.left_seconds))
            for each in self._partitions:
                written = self._consumer.highwater(TopicPartition(*each))
                if written is not None:
                    ends.setdefault(each, written)

    def end_offsets(self) -> Mapping[Partition, int]:
        """Where the topics end now: the offset of the next record, as far as transactions are decided."""
        ends = self._consumer.end_offsets(
            [TopicPartition(*each) for each in self._partitions],
            timeout_ms=int(self._settings.request_timeout_seconds * 1000),
        )
        return {Partition(*each): end for each, end in ends.items()}

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _position(self, partition: Partition) -> int:
        return self._consumer.position(TopicPartition(*partition), timeout_ms=1000) or 0


def record_at(settings: KafkaSettings, partition: Partition, offset: int, *, timeout_seconds: float) -> Record | None:
    """One committed record; None where there is none: it expired, it is yet to come, or its transaction was aborted.

    Raises:
        BrokerUnreachable: no answer in time.
        TopicMissing: there is no such topic.
    """
    with WholeTopicReader.open(
        settings,
        topics=[partition.topic],
        starts={partition: offset},
        only=[partition],
        give_up_seconds=timeout_seconds,
    ) as reader:
        first = next(reader.stream_to_end(timeout_seconds), None)
    return first if first is not None and first.offset == offset else None


def tail_of(
    settings: KafkaSettings, partitions: Sequence[Partition], *, last_offsets: int, timeout_seconds: float
) -> Iterator[Record]:
    """The committed records among the last offsets of some partitions, oldest first in each.

    Raises:
        BrokerUnreachable: not all could be read in time; what was read has been given.
        TopicMissing: there is no such topic.
    """
    deadline = Deadline(timeout_seconds)
    with WholeTopicReader.open(
        settings,
        topics=sorted({each.topic for each in partitions}),
        only=partitions,
        give_up_seconds=timeout_seconds,
    ) as reader:
        reader.skip_to_last(last_offsets)
        yield from reader.stream_what_is_written(deadline.left_seconds)


def _existing(wanted: Collection[Partition], known: Sequence[Partition]) -> list[Partition]:
    """The partitions that hold what was written to the wanted ones."""
    sizes = Counter(each.topic for each in known)
    return sorted({Partition(each.topic, partition_in(each.partition, sizes[each.topic])) for each in wanted})


def _told_unread(record: Record) -> bool:
    """Whether it only says that nobody can read some records: whoever reads whole topics goes on without them."""
    if record.unread is None:
        return False
    log.error(
        "records_unreadable",
        topic=record.topic,
        partition=record.partition,
        first_offset=record.unread.first_offset,
        last_offset=record.offset,
        why=record.unread.why,
    )
    return True


def _consumer(settings: KafkaSettings) -> Untyped:
    return KafkaConsumer(**client_options(settings), **fetch_options(settings), group_id=None)


def _seek(consumer: Untyped, partition: TopicPartition, start: int | None) -> None:
    if start is None:
        consumer.seek_to_beginning(partition)
    else:
        consumer.seek(partition, start)
