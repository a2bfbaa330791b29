"""The worker's thread."""

from __future__ import annotations

import time

import pytest

from inference.handoff_queue import HandoffQueue
from inference.inspector import Queued
from inference.worker import Worker
from tests.inference.sample_bank import record


class Breaks:
    """An inspector with a fault of its own, such as no memory left."""

    def inspect(self, batch: list[Queued]) -> None:
        """Fail, naming the batch."""
        raise MemoryError(f"{len(batch)} frames")


def checked_until(worker: Worker, *, seconds: float) -> None:
    """Check again and again, as the loop does."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        worker.check()


def test_what_ends_the_worker_reaches_the_loop() -> None:
    """The service must not poll on while nobody scores."""
    handoff = HandoffQueue(room_frames=4, room_bytes=1000)
    with Worker(handoff, Breaks(), batch_frames=2) as worker:  # type: ignore[arg-type]  # structurally one
        worker.check()
        handoff.accept([Queued(record(0, b"x"), 0.0)])
        with pytest.raises(MemoryError, match="1 frames"):
            checked_until(worker, seconds=10)
