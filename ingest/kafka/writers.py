"""Plain sending, for cameras and commands: idempotent, acknowledged by all replicas, and no failure is silent."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from ingest.kafka.connecting import Deadline, client_options, connected, require_topics
from ingest.kafka.errors import SendFailed
from ingest.kafka.producing import close_now, producer_options, send
from ingest.kafka.records import Outgoing, Partition, Sent

if TYPE_CHECKING:
    from threading import Event

    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

PENDING_BYTES = 64 * 1024 * 1024


class Pending:
    """A record on its way."""

    def __init__(self, future: Untyped, size_bytes: int) -> None:
        self._future = future
        self.size_bytes = size_bytes

    @property
    def done(self) -> bool:
        """Whether it was acknowledged, or failed."""
        return bool(self._future.is_done)

    def wait(self, timeout_seconds: float) -> Sent:
        """Where the record lies. Raises SendFailed where it was not acknowledged in time."""
        try:
            written = self._future.get(timeout=timeout_seconds)
        except KafkaError as error:
            raise SendFailed(f"the record was not acknowledged: {error}") from error
        return Sent(Partition(written.topic, written.partition), written.offset, written.timestamp)


class KafkaSender:
    """Sends records in order per partition. One thread at a time."""

    def __init__(self, producer: Untyped, settings: KafkaSettings, *, pending_bytes: int = PENDING_BYTES) -> None:
        self._producer = producer
        self._settings = settings
        self._room_bytes = pending_bytes
        self._pending: deque[Pending] = deque()
        self._broken = False

    @classmethod
    def open(
        cls,
        settings: KafkaSettings,
        *,
        writes: tuple[str, ...] = (),
        give_up_seconds: float | None = None,
        stop: Event | None = None,
    ) -> Self:
        """Connect, waiting for a broker.

        Raises:
            BrokerUnreachable: `give_up_seconds` passed, or `stop` was set.
            TopicMissing: one of `writes` does not exist.
        """
        producer = connected(lambda: _producer(settings), settings, give_up_seconds=give_up_seconds, stop=stop)
        require_topics(lambda topic: _partitions(producer, topic), writes, otherwise=lambda: close_now(producer))
        return cls(producer, settings)

    def send(self, outgoing: Outgoing) -> Pending:
        """Hand over one record; waits for older ones where too many bytes are on their way.

        Raises:
            SendFailed: this record can never be sent (size, unknown topic), or an older one failed.
        """
        size_bytes = len(outgoing.key or b"") + len(outgoing.value or b"")
        self._make_room(size_bytes)
        if self._broken:
            self._renew()
        try:
            future = send(self._producer, outgoing)
        except KafkaError as error:
            raise SendFailed(f"{outgoing.topic}: {error}") from error
        pending = Pending(future, size_bytes)
        self._pending.append(pending)
        self._room_bytes -= size_bytes
        return pending

    def send_and_wait(self, outgoing: Outgoing, timeout_seconds: float | None = None) -> Sent:
        """Send one record and wait until all replicas have it.

        Raises SendFailed, here alone: the next record may be sent as if this one had never been.
        """
        pending = self.send(outgoing)
        try:
            return pending.wait(timeout_seconds or self._settings.request_timeout_seconds)
        except SendFailed:
            self._broken = pending.done
            raise
        finally:
            if pending.done:
                self._pending.remove(pending)
                self._room_bytes += pending.size_bytes

    def flush(self, timeout_seconds: float) -> None:
        """Wait until everything handed over is acknowledged. Raises SendFailed for the first record that is not."""
        deadline = Deadline(timeout_seconds)
        while self._pending:
            self._settle(deadline)

    def close(self, timeout_seconds: float | None = None) -> None:
        """Flush and disconnect. Raises SendFailed where a record was not acknowledged."""
        try:
            self.flush(timeout_seconds or self._settings.request_timeout_seconds)
        finally:
            close_now(self._producer)

    def abandon(self) -> None:
        """Disconnect without waiting for what is on its way: it may be lost."""
        close_now(self._producer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _renew(self) -> None:
        """kafka-python fails every record after one that the broker refused: only a new producer sends again."""
        close_now(self._producer)
        patience = self._settings.request_timeout_seconds
        self._producer = connected(lambda: _producer(self._settings), self._settings, give_up_seconds=patience)
        self._broken = False

    def _make_room(self, size_bytes: int) -> None:
        deadline = Deadline(self._settings.request_timeout_seconds * 2)
        while self._pending and (self._pending[0].done or self._room_bytes < size_bytes):
            self._settle(deadline)

    def _settle(self, deadline: Deadline) -> None:
        oldest = self._pending.popleft()
        self._room_bytes += oldest.size_bytes
        oldest.wait(deadline.left_seconds)


def _producer(settings: KafkaSettings) -> Untyped:
    return KafkaProducer(
        **client_options(settings),
        **producer_options(settings),
        max_block_ms=int(settings.request_timeout_seconds * 1000),
    )


def _partitions(producer: Untyped, topic: str) -> set[int] | None:
    try:
        found: set[int] = producer.partitions_for(topic)
    except KafkaError:
        return None
    return found
