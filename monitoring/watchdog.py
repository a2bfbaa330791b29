"""Ends a process whose loop has stopped going round, so that whatever started it starts it again.

A process that hangs answers 503 on /healthz, which a person may see, but no container engine restarts for. So after a
minute of that the process ends itself, from a thread of its own; and systemd, where it is what started us, hears from
that thread as long as the loop goes round, and ends us where not even the thread runs.
"""

from __future__ import annotations

import os
import socket
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitoring.health import Heartbeat

log = structlog.get_logger(__name__)

GRACE_SECONDS = 60.0
"""How long /healthz may say that the loop is not alive."""
LOOK_SECONDS = 5.0
EXIT_CODE = 70
"""EX_SOFTWARE: an internal fault; a supervisor starts the process again."""


class Watchdog:
    """Watches a heartbeat while it is entered."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        *,
        grace_seconds: float = GRACE_SECONDS,
        look_seconds: float = LOOK_SECONDS,
        notify: Callable[[bytes], None] | None = None,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        """`notify` tells systemd; by default where it asks to be told. `end` ends the process at once."""
        self._heartbeat = heartbeat
        self._grace_seconds = grace_seconds
        self._look_seconds = look_seconds
        self._notify = notify or systemd_notifier(os.environ.get("NOTIFY_SOCKET"))
        self._end = end
        self._stop = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    def look(self) -> None:
        """One look: tell systemd, or end the process."""
        silent, limit = self._heartbeat.silent_seconds, self._heartbeat.limit_seconds
        if silent <= limit:
            self._notify(b"WATCHDOG=1")
        elif silent > limit + self._grace_seconds:
            log.critical("hangs", silent_seconds=round(silent, 1), detail="the loop does not go round: ending")
            self._end(EXIT_CODE)

    def __enter__(self) -> Self:
        self._notify(b"READY=1")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._notify(b"STOPPING=1")
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._look_seconds):
            self.look()


def systemd_notifier(address: str | None) -> Callable[[bytes], None]:
    """What sends a state to systemd's socket (sd_notify), where there is one; a failure is of no importance."""
    if not address:
        return lambda _: None
    at = f"\0{address[1:]}" if address.startswith("@") else address

    def notify(state: bytes) -> None:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.sendto(state, at)
        except OSError as error:
            log.warning("systemd_not_notified", cause=str(error))

    return notify
