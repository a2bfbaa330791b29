"""How a process that runs until it is stopped begins: its logs turned up, its signals bound to an event."""

from __future__ import annotations

from threading import Event

from deploy.process.logs import configure_logs
from deploy.process.signals import stop_on_signals


def begin_service(name: str) -> Event:
    """Log under this name from now on; the event that is returned is set by SIGTERM or Ctrl-C."""
    configure_logs(name)
    stop = Event()
    stop_on_signals(stop)
    return stop
