"""Messages to the trainer, read whole and followed: they wait here, in order, until the view they are about is ours."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from ingest.command import Command
from ingest.contract import BadMessage
from ingest.feedback import Feedback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.kafka.records import Record

log = structlog.get_logger(__name__)

M = TypeVar("M", Command, Feedback)


class MessageReader(Protocol):
    """Reads a topic from its beginning."""

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:
        """The next records, oldest first."""
        ...


class MessageQueue(Generic[M]):
    """The messages of one kind to every view that are not known to be answered. People write them: there are few."""

    def __init__(self, reader: MessageReader, kind: type[M]) -> None:
        self._reader = reader
        self._kind: type[M] = kind
        self._waiting: defaultdict[str, list[tuple[int, M]]] = defaultdict(list)

    def poll(self) -> None:
        """Take in what has come, without waiting. Raises BrokerUnreachable."""
        for record in self._reader.poll(0.0):
            try:
                message = self._kind.from_bytes(record.value or b"")
            except BadMessage as error:
                log.warning("message_unreadable", topic=record.topic, offset=record.offset, detail=str(error))
            else:
                self._waiting[message.view].append((record.offset, message))

    def waiting(self, view: str, *, through: int) -> tuple[tuple[int, M], ...]:
        """A view's messages from offset `through` on; what lies before is answered, and forgotten."""
        if view not in self._waiting:
            return ()
        left = [(offset, message) for offset, message in self._waiting[view] if offset >= through]
        self._waiting[view] = left
        return tuple(left)
