"""How far a group is behind, asked of the broker on a thread and a clock of its own.

A loop that hangs, that has nothing to commit, or that waits behind somebody else's open transaction sees no lag itself:
it knows only what it was given. So end and committed offset are asked for beside it, the end as the log has it, not as
far as committed records go.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ingest.kafka.connecting import client_options, connected
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.records import Partition
from ingest.kafka.transactions import State, fetch_options

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ingest.kafka.loop import Loop
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped
    from monitoring.metrics import KafkaMetrics

log = structlog.get_logger(__name__)

LAG_SECONDS = 5.0
LEAVE_SECONDS = 2.0


def counting_lost(metrics: KafkaMetrics, topics: Sequence[str]) -> Callable[[Partition, int], None]:
    """What a loop tells of records that are gone unread, as a metric of the partitions of these topics."""

    def lost(partition: Partition, records: int) -> None:
        if partition.topic in topics:
            metrics.records_expired.labels(partition=partition.label(topics[0])).inc(records)

    return lost


class GroupLag:
    """Keeps the lag of a loop's partitions in the metrics, while it is entered."""

    def __init__(
        self,
        settings: KafkaSettings,
        loop: Loop,
        metrics: KafkaMetrics,
        *,
        group_id: str,
        topics: Sequence[str],
        seconds: float = LAG_SECONDS,
    ) -> None:
        """`topics`: those whose partitions are shown; `group_id`: full id of the loop's group."""
        self._settings = settings
        self._loop = loop
        self._metrics = metrics
        self._group_id = group_id
        self._topics = topics
        self._seconds = seconds
        self._stop = Event()
        self._owned: frozenset[Partition] = frozenset()
        self._shown: frozenset[Partition] = frozenset()
        self._thread = Thread(target=self._run, name="lag", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(LEAVE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with _Asking(self._settings, self._group_id, self._stop) as asking:
                    while not self._stop.wait(self._seconds):
                        self._show(asking.behind(self._followed()))
            except (KafkaError, KafkaFailure, OSError) as error:
                log.warning("lag_not_known", cause=f"{type(error).__name__}: {error}")
                self._stop.wait(self._seconds)

    def _followed(self) -> frozenset[Partition]:
        """What the loop owns; while it joins anew, what it owned last: what waits there waits for it."""
        if self._loop.state in (State.OWNING, State.COMMITTING):
            self._owned = frozenset(each for each in self._loop.claims if each.topic in self._topics)
        return self._owned

    def _show(self, behind: Mapping[Partition, int]) -> None:
        for each in self._shown - behind.keys():
            self._metrics.consumer_lag.remove_by_labels({"partition": each.label(self._topics[0])})
        for each, records in behind.items():
            self._metrics.consumer_lag.labels(partition=each.label(self._topics[0])).set(records)
        self._shown = frozenset(behind)


class _Asking:
    """A client that asks for offsets and reads nothing; it is no member of the group."""

    def __init__(self, settings: KafkaSettings, group_id: str, stop: Event) -> None:
        options = {**client_options(settings), **fetch_options(settings), "isolation_level": "read_uncommitted"}
        self._timeout_ms = int(settings.request_timeout_seconds * 1000)
        self._consumer: Untyped = connected(lambda: KafkaConsumer(**options, group_id=group_id), settings, stop=stop)

    def behind(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Records between committed offset and end; what was never committed is behind from the log's start."""
        if not partitions:
            return {}
        asked = [TopicPartition(*each) for each in partitions]
        starts = self._consumer.beginning_offsets(asked, timeout_ms=self._timeout_ms)
        ends = self._consumer.end_offsets(asked, timeout_ms=self._timeout_ms)
        found = {}
        for each in asked:
            committed = self._consumer.committed(each, timeout_ms=self._timeout_ms)
            done = starts[each] if committed is None else max(committed, starts[each])
            found[Partition(each.topic, each.partition)] = max(0, ends[each] - done)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close(autocommit=False, timeout_ms=self._timeout_ms)
