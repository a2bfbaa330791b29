"""How far a group is behind is asked of the broker: also where its loop hangs, or waits behind somebody else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
from prometheus_client import CollectorRegistry

from ingest.kafka.connecting import client_options
from ingest.kafka.group_lag import GroupLag
from ingest.kafka.records import Claim, Partition
from ingest.kafka.topics import create_topics
from ingest.kafka.transactions import State, TransactionLoop
from monitoring.metrics import declare_kafka
from tests.ingest.kafka.streams import answer, send_numbered, topics_made, wait_until

if TYPE_CHECKING:
    from ingest.kafka.records import Record
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_the_lag_is_the_end_less_what_is_committed(kafka_broker: KafkaBroker) -> None:
    """Five records of which two are committed, then three of a transaction that nobody ends: six are behind.

    The loop is one that hangs: it owns its partitions and polls no more. What it saw last was no lag at all.
    """
    settings = kafka_broker.settings(partitions=2)
    further = f"{settings.topic_prefix}cell-4"
    settings = settings.model_copy(update={"more_frame_topics": (further,)})
    create_topics(settings)
    topic, group = settings.topic("frames"), settings.group("g")
    registry = CollectorRegistry()
    owned = [Partition(topic, 0), Partition(topic, 1), Partition(further, 0), Partition("another", 0)]
    loop = SimpleNamespace(state=State.OWNING, claims={each: Claim(each, 1) for each in owned})

    def behind(partition: int | str) -> float | None:
        return registry.get_sample_value("patchline_kafka_consumer_lag_records", {"partition": str(partition)})

    sender = KafkaProducer(**client_options(settings), transactional_id=f"{group}-other")
    sender.init_transactions()
    sender.begin_transaction()
    for _ in range(5):
        sender.send(topic, b"x", partition=0)
    sender.send_offsets_to_transaction({TopicPartition(topic, 0): OffsetAndMetadata(2, "", -1)}, group)
    sender.commit_transaction()
    sender.begin_transaction()
    sender.send(further, b"x", partition=0)
    sender.commit_transaction()
    topics = settings.frame_topics
    lag = GroupLag(settings, loop, declare_kafka(registry), group_id=group, topics=topics, seconds=0.1)  # type: ignore[arg-type]
    with lag:
        wait_until(lambda: (behind(0), behind(1)) == (4, 0), seconds=20)  # a transaction's marker is a record, too
        assert behind(f"{further}-0") == 2  # of a further topic by its name
        sender.begin_transaction()
        for _ in range(3):
            sender.send(topic, b"x", partition=0)
        sender.flush(10)
        wait_until(lambda: behind(0) == 7, seconds=20)
        loop.state, loop.claims = State.JOINING, {}
        wait_until(lambda: behind(0) == 7, seconds=20)
        loop.state = State.OWNING
        wait_until(lambda: (behind(0), behind(1)) == (None, None), seconds=20)
        assert behind(f"{further}-0") is None
    sender.abort_transaction()
    sender.close()


def test_what_retention_deleted_unread_is_told(kafka_broker: KafkaBroker) -> None:
    """Ten records, two answered, then the first seven deleted: five are gone unread. What was read is no loss."""
    settings = topics_made(kafka_broker.settings(partitions=1))
    place = Partition(settings.topic("frames"), 0)
    send_numbered(settings, range(10), cameras=1)
    told: list[tuple[Partition, int]] = []

    def opened() -> TransactionLoop:
        return TransactionLoop.open(
            settings,
            group_id=settings.group("g"),
            reads=[place.topic],
            writes=[settings.topic("decisions")],
            lost=lambda partition, records: told.append((partition, records)),
        )

    with opened() as loop:
        records: list[Record] = []
        wait_until(lambda: len(records) == 10, seconds=20, doing=lambda: records.extend(loop.poll(0.1)))
        loop.commit([answer(settings, record) for record in records[:2]])
    admin = KafkaAdminClient(**client_options(settings))
    admin.delete_records({TopicPartition(*place): 7})
    admin.close()
    with opened() as loop:
        records = []
        wait_until(lambda: len(records) == 3, seconds=20, doing=lambda: records.extend(loop.poll(0.1)))
    assert [record.offset for record in records] == [7, 8, 9]
    assert [each for each in told if each[1]] == [(place, 5)]
    assert (place, 0) in told
