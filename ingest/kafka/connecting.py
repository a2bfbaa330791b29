"""Reaching a broker: one log line per attempt, one sentence for what is wrong, and a client that keeps quiet."""

from __future__ import annotations

import logging
import socket
import time
from threading import Event
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from kafka.errors import KafkaError

from ingest.kafka.client_logs import quiet_client_logs
from ingest.kafka.errors import BrokerUnreachable, Refused, TopicMissing
from ingest.kafka.fetching import fetch_all_at_once
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
        Refused: a broker answers and one of the two does not trust the other: certificates, or the password.
    """
    quiet_client_logs()
    read_any_batch()
    fetch_all_at_once()
    deadline = None if give_up_seconds is None else Deadline(give_up_seconds)
    stop = stop or Event()
    while True:
        reason = unreachable_because(settings)
        if reason is None:
            with Refusals() as refusals:
                try:
                    return make()
                except KafkaError as error:
                    reason = str(error) or type(error).__name__
            if (refused := refusals.sentence(settings)) is not None:
                raise Refused(refused)
        if stop.is_set() or (deadline is not None and deadline.passed):
            raise BrokerUnreachable(
                f"no Kafka broker answers at {settings.bootstrap_servers} ({reason}); "
                "start one, or set kafka.bootstrap_servers to the right address"
            )
        log.warning("broker_unreachable", servers=settings.bootstrap_servers, reason=reason)
        stop.wait(settings.connect_retry_seconds)


class Refusals(logging.Handler):
    """Hears, while it is entered, why connections end: the client tries on, and says only that its time is up."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what the client says."""
        error = record.exc_info[1] if record.exc_info else ""
        self._heard.append(f"{record.getMessage()} {error}")

    def sentence(self, settings: KafkaSettings) -> str | None:
        """What a person has to do; None where nothing was refused."""
        words = next((words for mark, words in _REFUSALS.items() if any(mark in each for each in self._heard)), None)
        closed = sum("Abort" in each and "socket disconnected" in each for each in self._heard)
        if words is None and settings.username is not None and closed > 1:  # it may close before its answer is read
            words = _REFUSALS["SaslAuthenticationFailed"]
        who = f"user {settings.username!r} ({settings.mechanism})" if settings.username else "this client"
        return words and f"Kafka at {settings.bootstrap_servers}: " + words.format(who=who)

    def __enter__(self) -> Self:
        logging.getLogger("kafka").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("kafka").removeHandler(self)


_CLIENT_CERTIFICATE = "the broker wants a certificate that its CA signed: set kafka.certificate_file and kafka.key_file"
_REFUSALS = {
    "SaslAuthenticationFailed": "the broker refuses {who}: wrong name, password or mechanism",
    "UnsupportedSaslMechanism": "the broker does not have the mechanism of {who}; set kafka.mechanism",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not to be trusted: kafka.ca_file did not sign it, it has expired, "
    "or it is for another host name",
    "CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    "BAD_CERTIFICATE": _CLIENT_CERTIFICATE,
    "UNKNOWN_CA": _CLIENT_CERTIFICATE,
    "HANDSHAKE_FAILURE": _CLIENT_CERTIFICATE,
    "WRONG_VERSION_NUMBER": "this port does not speak TLS: set kafka.security, or another port",
    "No such file or directory": "a file of kafka.ca_file, certificate_file or key_file is not there",
}
_PROTOCOLS = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_tls": "SASL_SSL"}


def security_options(settings: KafkaSettings) -> dict[str, Any]:
    """How a client shows who it is, and finds out who the broker is. Raises BrokerUnreachable: no password file."""
    options: dict[str, Any] = {"security_protocol": _PROTOCOLS[settings.security]}
    if settings.security in {"tls", "sasl_tls"}:
        key_password = settings.key_password
        options |= {
            "ssl_cafile": settings.ca_file,
            "ssl_certfile": settings.certificate_file,
            "ssl_keyfile": settings.key_file,
            "ssl_password": None if key_password is None else key_password.get_secret_value(),
        }
    if settings.security in {"sasl_plaintext", "sasl_tls"}:
        try:
            password = settings.secret()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"kafka.password_file cannot be read: {error}") from error
        options |= {
            "sasl_mechanism": settings.mechanism,
            "sasl_plain_username": settings.username,
            "sasl_plain_password": password,
        }
    return options


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client of ours is given."""
    return {
        **security_options(settings),
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "request_timeout_ms": int(settings.request_timeout_seconds * 1000),
        "bootstrap_timeout_ms": int(settings.request_timeout_seconds * 1000),
        # The default of 30 s would be the recovery time after a broker restart.
        "reconnect_backoff_max_ms": 1000,
        # The default of five minutes would be the age of the first frames of a partition that was added.
        "metadata_max_age_ms": 15_000,
    }


def require_topics(
    partitions_of: Callable[[str], Iterable[int] | None], topics: Iterable[str], *, otherwise: Callable[[], None]
) -> None:
    """Raises TopicMissing, naming them, where topics do not exist, after `otherwise` has let go of the client.

    Raises BrokerUnreachable in the same way where the broker does not say: one that is just starting names no topics.
    """
    try:
        missing = [topic for topic in topics if not partitions_of(topic)]
    except KafkaError as error:
        otherwise()
        raise BrokerUnreachable(f"the Kafka broker does not say which topics there are: {error!r}") from error
    if missing:
        otherwise()
        raise TopicMissing(f"missing topics: {', '.join(missing)}; create them with `patchline topics create`")
