"""Messages to the trainer, read whole and followed: they wait here, in order, until the view they are about is ours."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import structlog

from ingest.command import Command
from ingest.contract import BadMessage
from ingest.feedback import Feedback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.kafka.records import Partition, Record

log = structlog.get_logger(__name__)

M = TypeVar("M", Command, Feedback)


class MessageReader(Protocol):
    """Reads a topic from its beginning."""

    @property
    def caught_up(self) -> bool:
        """Whether everything that was there when it opened has been read."""
        ...

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:
        """The next records, oldest first."""
        ...

    def end_offsets(self) -> Mapping[Partition, int]:
        """Where the topic ends now."""
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
                waiting = self._waiting[message.view]
                if (
                    waiting and waiting[-1][0] >= record.offset
                ):  # a topic made anew: what came before was of the old one
                    waiting.clear()
                waiting.append((record.offset, message))

    def waiting(self, view: str, *, through: int) -> tuple[tuple[int, M], ...]:
        """A view's messages from offset `through` on; what lies before is answered, and forgotten."""
        if view not in self._waiting:
            return ()
        left = [(offset, message) for offset, message in self._waiting[view] if offset >= through]
        self._waiting[view] = left
        return tuple(left)

    def made_anew(self, view: str, *, through: int) -> bool:
        """Whether messages to the view that look answered are none: the topic ends before the one answered last.

        Raises BrokerUnreachable.
        """
        waiting = self._waiting.get(view)
        if not waiting or waiting[-1][0] >= through or not self._reader.caught_up:
            return False
        ends = max(self._reader.end_offsets().values())
        if through <= ends:
            return False
        log.error("messages_recreated", view=view, answered_through=through, ends=ends)
        return True
