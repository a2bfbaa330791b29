"""Records come when they are there, whichever of a broker's partitions they are in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import CompletedFetch
from kafka.consumer.subscription_state import SubscriptionState

from ingest.kafka.connecting import client_options, connected
from ingest.kafka.fetching import WholeFetcher
from ingest.kafka.records import Outgoing
from ingest.kafka.transactions import fetch_options
from ingest.kafka.writers import KafkaSender
from tests.ingest.kafka.streams import topics_made, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.kafka.untyped import Untyped
    from tests.brokers import KafkaBroker

BROKER_WAITS_MS = 60_000
"""For a record in the partitions of a fetch: longer than these tests wait for theirs."""
PATIENCE_SECONDS = 15


class TwoPartitions:
    """A consumer of two partitions of `frames`, and a sender to them."""

    def __init__(self, consumer: Untyped, sender: KafkaSender, topic: str) -> None:
        self.consumer = consumer
        self.first, self.second = TopicPartition(topic, 0), TopicPartition(topic, 1)
        self._sender = sender
        consumer.assign([self.first, self.second])
        consumer.seek_to_beginning()

    def send(self, partition: TopicPartition, *values: bytes) -> None:
        """Put records into a partition."""
        for value in values:
            self._sender.send_and_wait(Outgoing(partition.topic, b"line/cam", value, partition=partition.partition))

    def polled(self, *, seconds: float = PATIENCE_SECONDS, most: int = 500) -> list[bytes]:
        """The values of one poll."""
        batches = self.consumer.poll(timeout_ms=int(seconds * 1000), max_records=most)
        return [record.value for records in batches.values() for record in records]


@pytest.fixture
def partitions(kafka_broker: KafkaBroker) -> Iterator[TwoPartitions]:
    """All read, on one broker, which waits for a minute before it says that there is nothing.

    Its first answer tells of all partitions; from the second on it tells of those that have something new.
    """
    settings = topics_made(kafka_broker.settings())
    options = {**client_options(settings), **fetch_options(settings), "group_id": None}
    options |= {"fetch_max_wait_ms": BROKER_WAITS_MS, "request_timeout_ms": 2 * BROKER_WAITS_MS}
    consumer: Untyped = connected(lambda: KafkaConsumer(**options), settings)
    with KafkaSender.open(settings) as sender:
        two = TwoPartitions(consumer, sender, settings.topic("frames"))
        two.send(two.first, b"0")
        wait_until(lambda: two.polled() == [b"0"], seconds=60)
        yield two
    consumer.close(autocommit=False)


@pytest.mark.kafka
def test_a_poll_that_leaves_some_of_a_fetch_does_not_keep_the_next_records_back(partitions: TwoPartitions) -> None:
    """The rest was taken, and the partition's next record came only once the other partition's fetch had timed out."""
    partitions.send(partitions.first, b"1", b"2", b"3")
    taken: list[bytes] = []
    wait_until(lambda: len(taken) >= 3, seconds=60, doing=lambda: taken.extend(partitions.polled(most=1)))
    partitions.send(partitions.first, b"4")
    assert (taken, partitions.polled()) == ([b"1", b"2", b"3"], [b"4"])


@pytest.mark.kafka
def test_records_that_come_while_a_poll_looks_do_not_keep_the_next_ones_back(
    partitions: TwoPartitions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are that poll's. It asked for the other partition alone, and the next record waited for that to time out."""
    fetcher = partitions.consumer._fetcher
    send_fetches = fetcher.send_fetches

    def once_they_are_there() -> Untyped:
        monkeypatch.undo()
        partitions.send(partitions.first, b"1")
        wait_until(lambda: bool(fetcher._completed_fetches), seconds=30)
        return send_fetches()

    assert not partitions.polled(seconds=0)
    wait_until(fetcher.in_flight_fetches, seconds=30, doing=lambda: partitions.polled(seconds=0))
    monkeypatch.setattr(fetcher, "send_fetches", once_they_are_there)
    first = partitions.polled()
    partitions.send(partitions.first, b"2")
    assert (first, partitions.polled()) == ([b"1"], [b"2"])


@pytest.mark.kafka
def test_records_of_a_paused_partition_keep_no_others_back(partitions: TwoPartitions) -> None:
    """They wait until it is resumed, and are given then."""
    partitions.send(partitions.first, b"1", b"2")
    assert partitions.polled(most=1) == [b"1"]
    partitions.consumer.pause(partitions.first)
    partitions.send(partitions.second, b"3")
    assert partitions.polled() == [b"3"]
    partitions.consumer.resume(partitions.first)
    assert partitions.polled() == [b"2"]


def test_only_the_broker_whose_records_wait_is_not_asked() -> None:
    """Another broker's partitions are fetched meanwhile; where the partition was given away, nobody is waited for."""
    here, beside, elsewhere = (TopicPartition("frames", each) for each in range(3))
    leaders = {here: 1, beside: 1, elsewhere: 2}
    cluster = SimpleNamespace(leader_for_partition=leaders.get)
    manager = SimpleNamespace(_net=None, cluster=cluster)
    subscriptions = SubscriptionState()
    fetcher: Untyped = WholeFetcher(SimpleNamespace(_manager=manager), subscriptions)
    subscriptions.assign_from_user(leaders)
    for each in leaders:
        subscriptions.seek(each, 0)
    assert set(fetcher._fetchable_partitions()) == {here, beside, elsewhere}
    fetcher._completed_fetches.append(CompletedFetch(here, 0, 12, None, None))
    assert fetcher._fetchable_partitions() == [elsewhere]
    subscriptions.assign_from_user([beside, elsewhere])
    assert set(fetcher._fetchable_partitions()) == {beside, elsewhere}
