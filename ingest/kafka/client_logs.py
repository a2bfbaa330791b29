"""What kafka-python says, in our log: warnings and worse, each kind at most twice a minute, without tracebacks."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

REPEAT_SECONDS = 30.0
CONNECTION = "kafka.net"
# Its words for what is every day's business here, or what our own lines say better.
EVERYDAY = (
    "Bootstrap",
    "Broker version",
    "User provided",
    "Failed fetch messages",
    "Fatal Error handling request",
    "Task ",
    "group_id is None",
)


class ClientLog(logging.Handler):
    """Passes the client's records on to structlog; while a broker is down it would say the same for ever."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._said_at: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first of a kind, then none like it for `REPEAT_SECONDS`."""
        kind, now = _kind(record), self._clock()
        if record.getMessage().startswith(EVERYDAY) or now - self._said_at.get(kind, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return
        self._said_at[kind] = now
        log.warning("kafka_client", message=record.getMessage(), source=record.name)


def _kind(record: logging.LogRecord) -> str:
    """A lost connection is logged by every layer in several ways: once is enough."""
    return CONNECTION if record.name.startswith((CONNECTION, "kafka.cluster")) else str(record.msg)


def quiet_client_logs(clock: Callable[[], float] = time.monotonic) -> None:
    """Send the client's records through one `ClientLog`. Safe to call again: a handler that is there stays."""
    client = logging.getLogger("kafka")
    if not any(isinstance(handler, ClientLog) for handler in client.handlers):
        client.addHandler(ClientLog(clock))
        client.setLevel(logging.WARNING)
        client.propagate = False
