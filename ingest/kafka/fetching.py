"""When a consumer asks a broker for records: for all of the broker's partitions at once, or not yet.

A broker answers a fetch as soon as one of its partitions has a record, and otherwise after half a second. kafka-python
asks while records of a partition still wait to be taken, and leaves that partition out: where the others are silent,
its next records come half a second late. The Java client had the same fault (KAFKA-17182).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.consumer import group
from kafka.consumer.fetcher import Fetcher

if TYPE_CHECKING:
    from kafka import TopicPartition

    from ingest.kafka.untyped import Untyped


class WholeFetcher(Fetcher):  # type: ignore[misc]  # kafka-python has no annotations
    """Asks a broker for nothing while records of one of its partitions wait to be taken."""

    _next_partition_records: Untyped

    def fetched_records(self, *args: Untyped, **options: Untyped) -> Untyped:
        """As the client's own; what was kept back while its partition was paused comes first.

        Behind a partition whose records are all taken kafka-python never gives it, and never asks for more of it.
        """
        if not self._next_partition_records:
            self._next_partition_records = None
        return super().fetched_records(*args, **options)

    def _waiting(self) -> set[TopicPartition]:
        """The partitions that the next poll gives records of; what is paused keeps nobody waiting."""
        held = {each.topic_partition for each in self._completed_fetches.copy()}
        if self._next_partition_records:
            held.add(self._next_partition_records.topic_partition)
        held.update(self._paused_completed_fetches, self._paused_partition_records)
        return {each for each in held if self._subscriptions.is_fetchable(each)}

    def _fetchable_partitions(self) -> list[TopicPartition]:
        brokers = {self._select_read_replica(each) for each in self._waiting()}
        return [each for each in super()._fetchable_partitions() if self._select_read_replica(each) not in brokers]

    async def _clean_done_fetch_futures(self) -> None:
        # A poll waits for these. What came after it looked was asked for by one that is done: the poll is to see it.
        if not self._waiting():
            await super()._clean_done_fetch_futures()


def fetch_all_at_once() -> None:
    """Have kafka-python's consumers fetch so; again changes nothing."""
    group.Fetcher = WholeFetcher  # there is no public way
