"""The order to stop, as an event."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Event
    from types import FrameType


def stop_on_signals(stop: Event) -> None:
    """Set the event at the first SIGTERM or Ctrl-C; a second one ends the process at once."""

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
