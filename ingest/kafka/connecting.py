"""Reaching a broker: one log line per attempt, one sentence for what is wrong, and a client that keeps quiet."""

from __future__ import annotations

import socket
import time
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from kafka.errors import KafkaError

from ingest.kafka.client_logs import quiet_client_logs
from ingest.kafka.errors import BrokerUnreachable, TopicMissing
from ingest.kafka.record_batches import read_any_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

Client = TypeVar("Client")


class Deadline:
    """One budget for several waits in a row."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock() + seconds

    @property
    def left_seconds(self) -> float:
        """What is left, never negative."""
        return max(0.0, self._at - self._clock())

    @property
    def left_ms(self) -> int:
        """What is left, in whole milliseconds."""
        return int(self.left_seconds * 1000)

    @property
    def passed(self) -> bool:
        """Whether nothing is left."""
        return self.left_seconds == 0.0


def addresses(bootstrap_servers: str) -> list[tuple[str, int]]:
    """The `host:port` pairs of a bootstrap string."""
    pairs = (server.strip().rpartition(":") for server in bootstrap_servers.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]


def unreachable_because(settings: KafkaSettings) -> str | None:
    """Why no bootstrap server accepts a connection, or None where one does."""
    reasons = []
    for host, port in addresses(settings.bootstrap_servers):
        try:
            socket.create_connection((host, port), timeout=settings.request_timeout_seconds).close()
        except socket.gaierror:
            reasons.append(f"the host name {host!r} is unknown")
        except OSError as error:
            reasons.append(f"{host}:{port}: {error.strerror or error}")
        else:
            return None
    return "; ".join(reasons)


def connected(
    make: Callable[[], Client],
    settings: KafkaSettings,
    *,
    give_up_seconds: float | None = None,
    stop: Event | None = None,
) -> Client:
    """Make a client, trying again with one log line each `connect_retry_seconds` while no broker answers.

    Raises:
        BrokerUnreachable: `give_up_seconds` passed (None waits for ever), or `stop` was set.
    """
    quiet_client_logs()
    read_any_batch()
    deadline = None if give_up_seconds is None else Deadline(give_up_seconds)
    stop = stop or Event()
    while True:
        reason = unreachable_because(settings)
        if reason is None:
            try:
                return make()
            except KafkaError as error:
                reason = str(error) or type(error).__name__
        if stop.is_set() or (deadline is not None and deadline.passed):
            raise BrokerUnreachable(
                f"no Kafka broker answers at {settings.bootstrap_servers} ({reason}); "
                "start one, or set kafka.bootstrap_servers to the right address"
            )
        log.warning("broker_unreachable", servers=settings.bootstrap_servers, reason=reason)
        stop.wait(settings.connect_retry_seconds)


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client of ours is given."""
    return {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
        "bootstrap_timeout_ms": int(settings.request_timeout_seconds * 1000),
        # The default of 30 s would be the recovery time after a broker restart.
        "reconnect_backoff_max_ms": 1000,
    }


def require_topics(
    partitions_of: Callable[[str], Iterable[int] | None], topics: Iterable[str], *, otherwise: Callable[[], None]
) -> None:
    """Raises TopicMissing, naming them, where topics do not exist, after `otherwise` has let go of the client."""
    missing = [topic for topic in topics if not partitions_of(topic)]
    if missing:
        otherwise()
        raise TopicMissing(f"missing topics: {', '.join(missing)}; create them with `patchline topics create`")
