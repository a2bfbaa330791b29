"""Between the loop, which owns Kafka, and the worker, which scores: frames one way, answers the other, both bounded.

The bound is one count, `outstanding`: records accepted and not yet answered to the loop, wherever they are. The loop
polls no more than there is room, so neither side can grow.
"""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inference.inspector import Answers, Queued
    from ingest.kafka.records import Partition


class Exchange:
    """Hands records over and takes answers back; the loop's thread and the worker's thread, one each."""

    def __init__(self, *, room_frames: int) -> None:
        self._room_frames = room_frames
        self._condition = Condition()
        self._waiting: deque[Queued] = deque()
        self._answered: deque[Answers] = deque()
        self._outstanding = 0
        self._closed = False

    @property
    def room(self) -> int:
        """How many more records may be accepted."""
        with self._condition:
            return max(0, self._room_frames - self._outstanding)

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
            return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def answer(self, answers: Answers) -> None:
        """The worker gives a batch back."""
        with self._condition:
            self._answered.append(answers)
            self._condition.notify_all()

    def collect(self, timeout_seconds: float) -> list[Answers]:
        """The loop takes all batches answered so far, waiting up to `timeout_seconds` for the first."""
        with self._condition:
            self._condition.wait_for(lambda: self._answered or self._closed, timeout_seconds)
            collected = list(self._answered)
            self._answered.clear()
            self._outstanding -= sum(len(each.answers) for each in collected)
            return collected

    def close(self) -> None:
        """The worker gets no more work."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
