"""Where a start reads from, and which of what it reads again has been counted, or answered, before."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingest.kafka.connecting import Deadline
    from ingest.kafka.records import Partition, Record
    from monitoring.watch.reporting import DriftReporting
    from monitoring.watch.views import Views


class Replays:
    """The ownership: a partition starts some decisions before the first one that is not counted yet."""

    def __init__(
        self,
        views: Views,
        reporting: DriftReporting,
        *,
        ends: Callable[[], Mapping[Partition, int]],
        replay_decisions: int,
    ) -> None:
        self._views = views
        self._reporting = reporting
        self._ends = ends
        self._replay_decisions = replay_decisions
        self._starts: dict[int, int] = {}
        self._counted: dict[int, int] = {}

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:  # noqa: ARG002  the Protocol's
        """Without a committed offset all that is there is the past: a first start alarms about nothing of long ago."""
        ends = self._ends() if None in partitions.values() else {}
        starts = {each: ends.get(each, 0) if offset is None else offset for each, offset in partitions.items()}
        for each, start in starts.items():
            self._starts[each.partition] = start
            self._counted[each.partition] = max(start, self._counted.get(each.partition, 0))
        return {each: max(0, start - self._replay_decisions) for each, start in starts.items()}

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """What is known of their views belongs to others, or is read again."""
        self._reporting.gone(self._views.revoked(each.partition for each in partitions))

    def is_answered(self, record: Record) -> bool:
        """Whether what this decision led to is committed; an abort takes it back, unlike what was counted."""
        return record.offset < self._starts.get(record.partition, 0)

    def is_counted(self, record: Record) -> bool:
        """Whether this process or one before it counted this decision; from now on it is."""
        counted = self._counted.get(record.partition, 0)
        self._counted[record.partition] = max(counted, record.offset + 1)
        return record.offset < counted
