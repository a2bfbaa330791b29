"""Who owns which partition: how the loop reports it, and how it learns what a rebalance took away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kafka import ConsumerRebalanceListener

from ingest.kafka.records import Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kafka import TopicPartition

    from ingest.kafka.connecting import Deadline


class Ownership(Protocol):
    """Called with the partitions that come and go, on the loop's own thread and only inside `poll` and `commit`."""

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:
        """Where to start reading: a partition left out starts at its committed offset, or the earliest record.

        Args:
            partitions: those that come, with their committed offsets; None where nothing was committed yet.
            deadline: of the rebalance; all its waits share it.
        """
        ...

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Work in flight for these partitions is void; an abort revokes all before they are assigned again."""
        ...


class CommittedOffsets:
    """The ownership that keeps nothing: Kafka's committed offsets are the truth."""

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:  # noqa: ARG002  the Protocol's
        """Start everywhere at the committed offset."""
        return {}

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Nothing is kept, so nothing is to be dropped."""


class Revocations(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no annotations
    """Notes what a rebalance took away; it runs on the client's network thread, which must not block."""

    def __init__(self) -> None:
        self._taken: set[Partition] = set()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Also called for partitions that were lost."""
        self._taken.update(Partition(*each) for each in revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Assignments are read from the consumer once the group is stable."""

    def drain(self) -> frozenset[Partition]:
        """What was taken since the last call. Called while no rebalance runs: between polls."""
        taken, self._taken = frozenset(self._taken), set()
        return taken
