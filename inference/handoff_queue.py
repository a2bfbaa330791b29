"""Between the loop, which owns Kafka, and the worker, which scores: frames one way, answers the other, both bounded.

Bounded are the records accepted and not yet answered to the loop, wherever they are, by number and by bytes. The loop
polls no more than there is room, so neither side can grow. How large the next records are is known only once they are
here: room is reckoned by the largest that came last, so one poll of larger ones may go over the bound.
"""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inference.inspector import AnswerBatch, Queued
    from ingest.kafka.records import Partition


class HandoffQueue:
    """Hands records over and takes answers back; the loop's thread and the worker's thread, one each."""

    def __init__(self, *, room_frames: int, room_bytes: int) -> None:
        self._room_frames = room_frames
        self._room_bytes = room_bytes
        self._condition = Condition()
        self._waiting: deque[Queued] = deque()
        self._answered: deque[AnswerBatch] = deque()
        self._outstanding = 0
        self._taken_bytes: deque[int] = deque()
        """Of each batch taken and not yet collected."""
        self._largest_bytes = 1
        self._closed = False

    @property
    def room(self) -> int:
        """How many more records may be accepted; one at least while there is room for a byte."""
        with self._condition:
            frames, bytes_left = self._room_frames - self._outstanding, self._room_bytes - self._held_bytes()
            if frames <= 0 or bytes_left <= 0:
                return 0
            return min(frames, max(1, bytes_left // self._largest_bytes))

    @property
    def outstanding(self) -> int:
        """Records accepted and not yet answered."""
        with self._condition:
            return self._outstanding

    @property
    def waiting(self) -> int:
        """Records no batch has taken yet."""
        with self._condition:
            return len(self._waiting)

    def accept(self, queued: Sequence[Queued]) -> None:
        """The loop hands records over, in order."""
        with self._condition:
            self._waiting.extend(queued)
            self._outstanding += len(queued)
            self._largest_bytes = max(map(_size_bytes, queued), default=self._largest_bytes)
            self._condition.notify_all()

    def drop(self, partitions: Iterable[Partition]) -> int:
        """Forget the waiting records of partitions whose claims are void; returns how many."""
        gone = frozenset(partitions)
        with self._condition:
            kept = [each for each in self._waiting if each.record.claim and each.record.claim.partition not in gone]
            dropped = len(self._waiting) - len(kept)
            self._waiting = deque(kept)
            self._outstanding -= dropped
            return dropped

    def take(self, most: int) -> list[Queued] | None:
        """The worker takes what waits, at most `most` records, or blocks until something does; None at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            taken = self._next_in_turn(most)
            self._taken_bytes.append(sum(map(_size_bytes, taken)))
            return taken

    def answer(self, answers: AnswerBatch) -> None:
        """The worker gives a batch back."""
        with self._condition:
            self._answered.append(answers)
            self._condition.notify_all()

    def collect(self, timeout_seconds: float) -> list[AnswerBatch]:
        """The loop takes all batches answered so far, waiting up to `timeout_seconds` for the first."""
        with self._condition:
            self._condition.wait_for(lambda: self._answered or self._closed, timeout_seconds)
            collected = list(self._answered)
            self._answered.clear()
            self._outstanding -= sum(len(each.answers) for each in collected)
            for _ in collected:
                self._taken_bytes.popleft()
            return collected

    def close(self) -> None:
        """The worker gets no more work."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _next_in_turn(self, most: int) -> list[Queued]:
        """One of each partition in turn, the one that waits longest first: a flood of one waits behind itself."""
        by_partition: dict[Partition, deque[Queued]] = {}
        for each in self._waiting:
            by_partition.setdefault(each.record.topic_partition, deque()).append(each)
        taken: list[Queued] = []
        while len(taken) < most and by_partition:
            for partition in list(by_partition)[: most - len(taken)]:
                taken.append(by_partition[partition].popleft())
                if not by_partition[partition]:
                    del by_partition[partition]
        gone = set(map(id, taken))
        self._waiting = deque(each for each in self._waiting if id(each) not in gone)
        return taken

    def _held_bytes(self) -> int:
        return sum(map(_size_bytes, self._waiting)) + sum(self._taken_bytes)


def _size_bytes(queued: Queued) -> int:
    return max(1, len(queued.record.value or b""))
