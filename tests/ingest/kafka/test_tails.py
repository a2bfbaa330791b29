"""Reading a little of a topic: one record, or the last of a partition, on a real Apache Kafka."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.producing import TransactionalProducer
from ingest.kafka.readers import record_at, tail_of
from ingest.kafka.records import Outgoing, Partition
from ingest.kafka.writers import KafkaSender
from tests.ingest.kafka.streams import answer, open_loop, polled, send_numbered, topics_made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka_broker: KafkaBroker) -> KafkaSettings:
    """Fresh topics of one partition."""
    return topics_made(kafka_broker.settings(partitions=1))


def decided_one_by_one(settings: KafkaSettings, count: int) -> None:
    """So many decisions, each in a transaction of its own: every second offset is a marker."""
    send_numbered(settings, range(count), cameras=1)
    with open_loop(settings) as loop:
        for record in polled(loop, count):
            loop.commit([answer(settings, record)])


def tail(settings: KafkaSettings, last_offsets: int, seconds: float = 20) -> list[bytes | None]:
    """The values of the last decisions."""
    partitions = [Partition(settings.topic("decisions"), 0)]
    found = tail_of(settings, partitions, last_offsets=last_offsets, timeout_seconds=seconds)
    return [record.value for record in found]


def test_the_tail_holds_as_many_records_as_half_the_offsets(settings: KafkaSettings) -> None:
    """A decision and its marker take two offsets; a tail longer than the partition is all of it."""
    decided_one_by_one(settings, 5)
    assert tail(settings, 6) == [b"0,2", b"0,3", b"0,4"]
    assert tail(settings, 1000) == [f"0,{n}".encode() for n in range(5)]


def test_the_tail_of_an_empty_partition_is_empty(settings: KafkaSettings) -> None:
    """And it is told without waiting for something to come."""
    assert tail(settings, 6) == []


@pytest.fixture
def open_transaction(settings: KafkaSettings) -> Iterator[TransactionalProducer]:
    """A predecessor that has sent a decision and not yet committed it."""
    producer = TransactionalProducer(settings, transactional_id=settings.topic("predecessor"), group_id="g")
    assert producer.ready(Deadline(20))
    producer._producer.begin_transaction()
    future = producer._producer.send(settings.topic("decisions"), value=b"last", partition=0)
    future.get(timeout=20)
    yield producer
    producer.close()


def test_a_transaction_that_is_being_committed_is_waited_for(
    settings: KafkaSettings, open_transaction: TransactionalProducer
) -> None:
    """Its decisions are the last ones: whoever takes over must know of them."""
    timer = threading.Timer(1.0, open_transaction._producer.commit_transaction)
    timer.start()
    assert tail(settings, 10) == [b"last"]
    timer.join()


def test_a_transaction_that_stays_open_is_not_waited_for_longer_than_asked(
    settings: KafkaSettings, open_transaction: TransactionalProducer
) -> None:
    """The reader says that it did not come to the end."""
    started = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=r"not read to the end after"):
        tail(settings, 10, seconds=1.5)
    assert time.monotonic() - started < 10
    open_transaction.abort(Deadline(20))


def test_one_record_is_read_or_there_is_none(settings: KafkaSettings) -> None:
    """The one at that offset; a marker, an offset to come: none, told at once."""
    topic = Partition(settings.topic("decisions"), 0)
    decided_one_by_one(settings, 2)
    found = [record_at(settings, topic, offset, timeout_seconds=20) for offset in range(5)]
    assert [each and each.value for each in found] == [None, b"0,0", None, b"0,1", None]
    with KafkaSender.open(settings) as sender:
        sender.send_and_wait(Outgoing(topic.topic, None, None, partition=0), 20)
    last = record_at(settings, topic, 5, timeout_seconds=20)
    assert last is not None
    assert last.value == b""
