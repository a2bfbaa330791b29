"""Asks a program for its /healthz again and again: one that does not answer well for a minute is of no use.

A service ends itself when its loop hangs (`monitoring.watchdog`). What is stopped whole, or whose threads all wait, can
not: only whoever started it can end it.
"""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING

from monitoring.healthcheck import alive

if TYPE_CHECKING:
    from collections.abc import Callable

ASK_SECONDS = 5.0
LIMIT_SECONDS = 60.0
START_SECONDS = 120.0
"""From its start until it must have answered for the first time, beside the limit: a busy machine starts slowly."""


class HealthWatch:
    """Watches one program, through all its restarts, on a thread of its own."""

    def __init__(
        self,
        port: int,
        *,
        clock: Callable[[], float],
        limit_seconds: float = LIMIT_SECONDS,
        start_seconds: float = START_SECONDS,
        ask_seconds: float = ASK_SECONDS,
    ) -> None:
        """`port`: where its health pages are."""
        self._port = port
        self._clock = clock
        self._limit_seconds = limit_seconds
        self._start_seconds = start_seconds
        self._ask_seconds = ask_seconds
        self._well_at = 0.0
        self._why = ""
        self._stop = Event()
        self._thread = Thread(target=self._run, name="health-watch", daemon=True)

    def started(self) -> None:
        """The program was started just now."""
        self._well_at = self._clock() + self._start_seconds
        if not self._thread.is_alive():
            self._thread.start()

    @property
    def fault(self) -> str | None:
        """Why the program is to be replaced; None where it is well, or has time left."""
        silent = self._clock() - self._well_at
        return f"/healthz failed for {silent:.0f} s: {self._why}" if silent > self._limit_seconds else None

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._ask_seconds):
            why = alive(self._port)
            if why is None:
                self._well_at = self._clock()
            else:
                self._why = why
