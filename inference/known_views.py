"""Which views this process decides: at most so many, and those that fell silent make room.

A sender that puts a serial number into its key makes a view of every part. Each view costs memory and metric series, so
their number is bounded; a view whose bank is in force is always decided, whoever else fills the room.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class KnownViews:
    """The views heard of lately, the longest silent first. One thread only."""

    def __init__(self, *, most: int, forget_after_seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._forget_after_seconds = forget_after_seconds
        self._clock = clock
        self._heard_at: OrderedDict[str, float] = OrderedDict()

    def admit(self, view: str, *, has_bank: bool) -> bool:
        """Whether a frame of this view is decided: it is known, or there is room, or it has a bank."""
        if view not in self._heard_at and len(self._heard_at) >= self._most and not has_bank:
            return False
        self._heard_at[view] = self._clock()
        self._heard_at.move_to_end(view)
        return True

    def knows(self, view: str) -> bool:
        """Whether it was admitted and is not forgotten."""
        return view in self._heard_at

    def forget_silent(self) -> tuple[str, ...]:
        """The views that have been silent for too long, which are forgotten now."""
        before = self._clock() - self._forget_after_seconds
        silent = []
        for view, heard_at in self._heard_at.items():
            if heard_at >= before:
                break
            silent.append(view)
        for view in silent:
            del self._heard_at[view]
        return tuple(silent)
