"""What the service does when partitions come and go: on leaving, drop what waits; on coming, remember their frame ids.

A repeated frame id must be recognised by every process that decides it, also after a restart or a rebalance. The ids
are in Kafka already: every decision has its frame id and its source, in the partition of the same number (or, where
there are fewer of decisions, the one that it wraps around to), which partitions of several topics of frames share. So
the tail of that partition is read before its first record is decided, unless this process decided all of it itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.contract import SourceRecord
from ingest.kafka.errors import KafkaFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from inference.handoff_queue import HandoffQueue
    from inference.history import FrameIds, History
    from ingest.kafka.connecting import Deadline
    from ingest.kafka.records import Partition, Record

    ReadTail = Callable[[Collection[int], float], Iterator[Record]]
    """The last decisions on partitions of these numbers, oldest first in each, within so many seconds.

    Raises KafkaFailure, late.
    """
    AppendedAt = Callable[[Partition, int, float], int | None]
    """When (ms) the frame at a partition's offset was appended, asked within so many seconds; None: there is none."""

log = structlog.get_logger(__name__)

RECOVERY_SECONDS = 5.0
"""For all partitions of one rebalance: what cannot be remembered by then would make every frame that waits late."""


class _Decided(BaseModel):
    """The frame's name in a decision; the rest is not parsed, since ten thousand decisions are read."""

    model_config = ConfigDict(extra="ignore")
    view: str
    frame_id: str
    source: SourceRecord
    appended_at: datetime
    duplicate_of: SourceRecord | None = None


class Assignment:
    """The ownership of the loop; called on its thread."""

    def __init__(
        self,
        handoff: HandoffQueue,
        history: History,
        read_tail: ReadTail,
        appended_at: AppendedAt,
        *,
        grow_topics: Callable[[], None],
    ) -> None:
        """`grow_topics`: gives the topics of answers as many partitions as `frames` has."""
        self._grow_topics = grow_topics
        self._highest = -1
        self._handoff = handoff
        self._history = history
        self._read_tail = read_tail
        self._appended_at = appended_at

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:
        """Recover the memory of partitions that others have worked on; Kafka's committed offsets say where to start.

        Where a partition has none, its decisions do: Kafka forgets offsets of a group that was away for a week.
        """
        if max((each.partition for each in partitions), default=-1) > self._highest:
            self._highest = max(each.partition for each in partitions)
            self._grow_topics()
        unknown = [
            each
            for each, offset in partitions.items()
            if not self._history.reaches(each, 1 if offset is None else offset)
        ]
        last = self._recover(unknown, min(RECOVERY_SECONDS, deadline.left_seconds)) if unknown else {}
        uncommitted = [each for each, offset in partitions.items() if offset is None]
        beside = {each.partition for each in last}  # of other topics, where their answers may hide those of a quiet one
        if hidden := [each for each in uncommitted if each not in last and each.partition in beside]:
            detail = "none of the last decisions is on a frame of these: all their frames are decided"
            log.warning("partitions_read_from_the_beginning", partitions=_names(hidden), detail=detail)
        starts = {each: self._start_after(each, last[each], deadline) for each in uncommitted if each in last}
        return {each: start for each, start in starts.items() if start is not None}

    def revoked(self, partitions: frozenset[Partition]) -> None:
        """Drop what waits; what is being scored comes back with a void claim and is left out of the commit."""
        dropped = self._handoff.drop(partitions)
        log.info("frames_dropped", partitions=len(partitions), waiting=dropped)

    def _start_after(self, partition: Partition, last: _Decided, deadline: Deadline) -> int | None:
        """Behind the last decided frame, where it is still the one that was decided; None: from the beginning."""
        place = {"partition": f"{partition.topic}-{partition.partition}", "decided_through": last.source.offset}
        try:
            appended_ms = self._appended_at(partition, last.source.offset, deadline.left_seconds)
        except KafkaFailure as error:
            log.error("committed_offsets_gone", **place, detail=f"all is decided again: {error}")  # noqa: TRY400
            return None
        if appended_ms is None or appended_ms != round(last.appended_at.timestamp() * 1000):
            log.error("committed_offsets_gone", **place, detail="the topic was made anew, or emptied: all is read")
            return None
        log.error("committed_offsets_gone", **place, detail="it goes on behind the last decision")
        return last.source.offset + 1

    def _recover(self, partitions: Collection[Partition], seconds: float) -> dict[Partition, _Decided]:
        """Remember frame ids; the last decision of each partition that shares one of decisions with these."""
        found: dict[Partition, FrameIds] = {each: {} for each in partitions}
        last: dict[Partition, _Decided] = {}
        try:
            for record in self._read_tail({each.partition for each in partitions}, seconds):
                decided = _decided(record)
                if decided is None:
                    continue
                last[decided.source.topic_partition] = decided
                if decided.source.topic_partition in found:
                    _remember(found[decided.source.topic_partition], decided)
        except KafkaFailure as error:  # some memory is better than a partition that nobody decides
            log.warning("frame_ids_not_all_recovered", partitions=_names(partitions), cause=str(error))
        for partition, frame_ids in found.items():
            self._history.recover(partition, frame_ids)
        log.info("frame_ids_recovered", partitions=_names(partitions), frame_ids=sum(map(len, found.values())))
        return last


def _names(partitions: Iterable[Partition]) -> list[str]:
    return [f"{each.topic}-{each.partition}" for each in sorted(partitions)]


def _decided(record: Record) -> _Decided | None:
    """None for what is no decision."""
    try:
        return _Decided.model_validate_json(record.value or b"")
    except ValidationError:
        return None


def _remember(frame_ids: FrameIds, decided: _Decided) -> None:
    """The first record of its frame id, as the decision knew it."""
    frame_ids.setdefault((decided.view, decided.frame_id), (decided.duplicate_of or decided.source).offset)
