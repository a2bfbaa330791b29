"""The lag is told of what is known: to ask for it never ends a service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import TopicPartition
from kafka.consumer.subscription_state import SubscriptionState
from kafka.errors import IllegalStateError

from ingest.kafka.ownership import CommittedOffsets, Revocations
from ingest.kafka.producing import TransactionalProducer
from ingest.kafka.records import Claim, Partition
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.transactions import TransactionLoop

if TYPE_CHECKING:
    from collections.abc import Mapping


class Consumer:
    """Answers as kafka-python does, from its own book of partitions."""

    def __init__(self, ends: Mapping[int, int | None], positions: Mapping[int, int]) -> None:
        self._book = SubscriptionState()
        self._book.assign_from_user([TopicPartition("frames", each) for each in ends])
        for each, end in ends.items():
            self._book.assignment[TopicPartition("frames", each)].highwater = end
        for each, position in positions.items():
            self._book.seek(TopicPartition("frames", each), position)

    def highwater(self, partition: TopicPartition) -> int | None:
        """The end as of the last fetch."""
        self._assigned(partition)
        end: int | None = self._book.assignment[partition].highwater
        return end

    def position(self, partition: TopicPartition, *, timeout_ms: int) -> int | None:
        """The next offset; None while it is being reset."""
        assert timeout_ms == 0
        self._assigned(partition)
        position = self._book.assignment[partition].position
        return None if position is None else int(position.offset)

    def _assigned(self, partition: TopicPartition) -> None:
        if not self._book.is_assigned(partition):
            raise IllegalStateError("Partition is not assigned")


def test_what_is_not_known_is_left_out() -> None:
    """Partition 1 was never fetched, 2 is being reset, 3 was taken since the last poll: none has a lag, none raises."""
    settings = KafkaSettings()
    consumer = Consumer({0: 10, 1: None, 2: 10}, {0: 7, 1: 0})
    producer = TransactionalProducer(settings, transactional_id="t", group_id="g")
    loop = TransactionLoop(consumer, producer, settings, revocations=Revocations(), ownership=CommittedOffsets())
    for number in range(4):
        partition = Partition("frames", number)
        loop._claims[partition] = Claim(partition, 1)
    assert loop.lag_records() == {Partition("frames", 0): 3}
