"""Bank changes on their way from the thread that follows `banks` to the loop's thread, which alone writes metrics."""

from __future__ import annotations

from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inference.decide import InForce


@dataclass(frozen=True)
class BankPutInForce:
    """A view is decided by this bank from now on."""

    view: str
    in_force: InForce
    swapped: bool
    """Whether another bank, or none, decided before; else only its threshold or epoch changed."""


@dataclass(frozen=True)
class BankNotPutInForce:
    """A bank, or a bank state, was refused."""

    view: str


BankNotice = BankPutInForce | BankNotPutInForce


class BankNotices:
    """A queue between the two threads."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[BankNotice] = SimpleQueue()

    def put(self, notice: BankNotice) -> None:
        """Hand a notice over; any thread."""
        self._queue.put(notice)

    def drain(self) -> list[BankNotice]:
        """All notices since the last call, in order."""
        notices: list[BankNotice] = []
        while True:
            try:
                notices.append(self._queue.get_nowait())
            except Empty:
                return notices
