"""A rebalance whose owner cannot take over, for want of its store say: no record that was fetched meanwhile is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from kafka import TopicPartition
from kafka.structs import ConsumerGroupMetadata, MemberState

from ingest.kafka.ownership import Revocations
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.transactions import TransactionLoop

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ingest.kafka.connecting import Deadline
    from ingest.kafka.records import Partition

RECORDS = 3
"""In each partition."""


@dataclass
class Fetched:
    """One record as kafka-python gives it."""

    partition: int
    offset: int
    topic: str = "frames"
    timestamp: int = 0
    timestamp_type: int = 1
    key: bytes = b"k"
    value: bytes = b"v"
    headers: tuple[()] = ()


class Coordinator:
    """Of a stable group, to which heartbeats go."""

    rejoining = False
    _heartbeat_enabled = True

    def stable(self) -> bool:
        """Always."""
        return True


@dataclass
class Consumer:
    """A member of a group: it goes on from its positions, and nothing was ever committed."""

    generation: int = 1
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    _coordinator: Coordinator = field(default_factory=Coordinator)

    def given(self, *partitions: int) -> None:
        """A rebalance ends: these are ours, those that were ours before keep their position."""
        self.generation += 1
        self.positions = {
            each: self.positions.get(each, 0) for each in (TopicPartition("frames", p) for p in partitions)
        }

    def poll(self, *, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Fetched]]:  # noqa: ARG002
        """All that is left."""
        found = {
            each: [Fetched(each.partition, at) for at in range(start, RECORDS)]
            for each, start in self.positions.items()
        }
        self.positions = dict.fromkeys(self.positions, RECORDS)
        return {each: records for each, records in found.items() if records}

    def seek_to_beginning(self, partition: TopicPartition) -> None:
        """Where a partition starts that has no committed offset."""
        self.positions[partition] = 0

    def committed(self, partition: TopicPartition, *, timeout_ms: int) -> None:
        """Nothing was."""

    def group_metadata(self) -> ConsumerGroupMetadata:
        """Who we are now."""
        return ConsumerGroupMetadata("group", self.generation, "member", "0", MemberState.STABLE)

    def assignment(self) -> Collection[TopicPartition]:
        """What is ours."""
        return set(self.positions)

    def paused(self) -> Collection[TopicPartition]:
        """None is."""
        return ()

    def resume(self, *partitions: TopicPartition) -> None:
        """There is nothing to resume."""


class Ready:
    """A producer without a transaction."""

    def ready(self, _deadline: Deadline) -> bool:
        """Always."""
        return True


class Books:
    """An owner whose store may be out of reach."""

    broken = False

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:  # noqa: ARG002
        """Start everywhere at the beginning."""
        if self.broken:
            raise OSError("the store does not answer")
        return {}

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Nothing to drop."""


def test_records_fetched_while_a_takeover_fails_come_again() -> None:
    """Partition 0 was ours and stays, 1 comes: what was fetched from 0 in that poll is given out by a later one."""
    consumer, books = Consumer(), Books()
    loop = TransactionLoop(consumer, Ready(), KafkaSettings(), revocations=Revocations(), ownership=books)
    consumer.given(0)
    loop.poll(0.1)
    assert len(loop.claims) == 1
    consumer.given(0, 1)
    books.broken = True
    with pytest.raises(OSError, match="does not answer"):
        loop.poll(0.1)
    books.broken = False
    seen = Counter((each.partition, each.offset) for _ in range(3) for each in loop.poll(0.1))
    assert seen == {(partition, offset): 1 for partition in (0, 1) for offset in range(RECORDS)}
