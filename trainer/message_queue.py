"""Commands, read whole and followed: they wait here, in order, until the view they are about is ours."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol

import structlog

from ingest.command import Command
from ingest.contract import BadMessage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.kafka.records import Record

log = structlog.get_logger(__name__)


class CommandReader(Protocol):
    """Reads the topic of commands from its beginning."""

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:
        """The next records, oldest first."""
        ...


class CommandQueue:
    """The commands of every view that are not known to be carried out. People write them: there are few."""

    def __init__(self, reader: CommandReader) -> None:
        self._reader = reader
        self._waiting: defaultdict[str, list[tuple[int, Command]]] = defaultdict(list)

    def poll(self) -> None:
        """Take in what has come, without waiting. Raises BrokerUnreachable."""
        for record in self._reader.poll(0.0):
            try:
                command = Command.from_bytes(record.value or b"")
            except BadMessage as error:
                log.warning("command_unreadable", offset=record.offset, detail=str(error))
            else:
                self._waiting[command.view].append((record.offset, command))

    def waiting(self, view: str, *, through: int) -> tuple[tuple[int, Command], ...]:
        """A view's commands from offset `through` on; what lies before is carried out, and forgotten."""
        if view not in self._waiting:
            return ()
        left = [(offset, command) for offset, command in self._waiting[view] if offset >= through]
        self._waiting[view] = left
        return tuple(left)
