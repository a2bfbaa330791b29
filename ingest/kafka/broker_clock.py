"""What time it is by the broker's clock: the one that frames are dated by.

A frame's age is the broker's time now less the time at which the broker appended it. This machine's wall clock may be
wrong by an hour, or be set while we run; nothing is ever measured by it alone. Each commit tells the truth anew: the
broker dates our own records, so its clock at their acknowledgement is known to within the round trip. In between a
clock of this machine that nobody sets counts on, through suspensions too.

Decisions are made before the commit that proves them: where it shows that they were dated by a wrong time, frames were
taken for younger than they are, or for older, and the commit must not happen.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

TOLERANCE_SECONDS = 0.5
"""By so much frames may be older, or younger, than they were taken for."""


def steady_seconds() -> float:
    """Seconds of a clock that nobody sets; it counts while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class BrokerClock:
    """The broker's wall clock. One thread calls `heard`; any may read."""

    def __init__(self, *, steady: Callable[[], float] = steady_seconds, wall: Callable[[], float] = time.time) -> None:
        """`steady` seconds count up and are never set; `wall` is this machine's clock, seconds since the epoch."""
        self._steady = steady
        self._wall = wall
        self._ahead: float | None = None
        """Of the broker's clock before `steady`; None until a commit has told."""

    def now(self) -> datetime:
        """The broker's time; before anything was heard of it, this machine's."""
        return datetime.fromtimestamp(self._steady() + self._assumed(), UTC)

    def steady(self) -> float:
        """The clock to take `sent_at` and `acknowledged_at` from."""
        return self._steady()

    @property
    def skew_seconds(self) -> float | None:
        """How far this machine's clock is ahead of the broker's; None until something was heard of it."""
        return None if self._ahead is None else self._wall() - self._steady() - self._ahead

    def off_by_more_than(self, seconds: float) -> bool:
        """Whether this machine's clock is known to be wrong by more than so much, ahead or behind."""
        return abs(self.skew_seconds or 0.0) > seconds

    def heard(self, appended_ms: Collection[int], *, sent_at: float, acknowledged_at: float) -> bool:
        """Take in when the broker appended records of ours; whether what was dated before may stand.

        False: frames were taken for younger, or older, than they are, by more than the tolerance. What they became must
        be voided, and decided again by the clock as it is known now.
        """
        if not appended_ms:
            return True
        assumed = self._assumed()
        at_least = max(appended_ms) / 1000 - acknowledged_at
        at_most = min(appended_ms) / 1000 - sent_at
        # Brokers of one cluster may disagree by more than the round trip: the later clock makes no frame too young.
        self._ahead = max(at_least, min(at_most if self._ahead is None else self._ahead, at_most))
        return at_least - TOLERANCE_SECONDS <= assumed <= at_most + TOLERANCE_SECONDS

    def _assumed(self) -> float:
        return self._wall() - self._steady() if self._ahead is None else self._ahead
