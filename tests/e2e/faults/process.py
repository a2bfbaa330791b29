"""The `patchline` command as a process that dies or stands still at one point of its work, when a file tells it to.

`python -m tests.e2e.faults.process FILE ARGUMENTS...`: FILE says what and where; the one that does it removes it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from deploy.cli import main
from ingest.kafka.producing import TransactionalProducer
from ingest.store import FsspecStore
from monitoring.record import writing
from monitoring.record.writing import RecordWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from ingest.decision import Decision

Point = Literal[
    "before send",
    "after send",
    "inside commit",
    "between bank file and bank state",
    "inside a write to the database",
    "between database and offsets",
]
Deed = Literal["SIGKILL", "SIGSTOP"]


def passing(point: Point, file: Path) -> None:
    """Send this process the signal the file names, if this is its point and no other process was quicker to take it."""
    try:
        deed, _, where = file.read_text().partition(" ")
        if where != point:
            return
        file.rename(file.with_suffix(f".{os.getpid()}"))
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.Signals[deed])


def mine_transactions(file: Path) -> None:
    """Have every transaction of this process pass its three points."""
    transact, wait = TransactionalProducer.transact, TransactionalProducer._wait
    waits: list[Point] = ["after send", "inside commit"]  # the offsets are on their way, then the end of it all
    left: list[Point] = []

    def transacting(self: TransactionalProducer, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- passed on
        passing("before send", file)
        left[:] = waits
        transact(self, *arguments, **named)

    def waiting(self: TransactionalProducer, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- passed on
        if left:
            passing(left.pop(0), file)
        wait(self, *arguments, **named)

    TransactionalProducer.transact = transacting  # type: ignore[method-assign]
    TransactionalProducer._wait = waiting  # type: ignore[method-assign]


def mine_banks(file: Path) -> None:
    """Have this process pass a point with every bank that it stores."""
    put = FsspecStore.put

    def putting(self: FsspecStore, path: str, data: bytes) -> None:
        put(self, path, data)
        if path.startswith("banks/"):
            passing("between bank file and bank state", file)

    FsspecStore.put = putting  # type: ignore[method-assign]


def mine_history(file: Path) -> None:
    """Have this process pass a point before each commit of its database, and one behind it."""
    add_to_views, decisions = writing._add_to_views, RecordWriter.decisions

    def adding(connection: Connection, new: Sequence[Decision]) -> None:
        add_to_views(connection, new)
        passing("inside a write to the database", file)

    def writing_decisions(self: RecordWriter, batch: Sequence[Decision]) -> int:
        new = decisions(self, batch)
        if new:
            passing("between database and offsets", file)
        return new

    writing._add_to_views = adding
    RecordWriter.decisions = writing_decisions  # type: ignore[method-assign]


def mend_sleep() -> None:
    """Under libfaketime 0.9.10, Debian's, Python 3.11's own sleep fails where the monotonic clock is left alone."""

    def sleep(seconds: float) -> None:
        Event().wait(seconds)

    if "libfaketime" in os.environ.pop("LD_PRELOAD", ""):  # popped: the builds of a trainer keep the right time
        time.sleep = sleep


if __name__ == "__main__":
    mend_sleep()
    file, service = Path(sys.argv.pop(1)), sys.argv[1]
    # A trainer and a recorder commit transactions, too: they must not take an inspection's signal.
    {"inspect": mine_transactions, "train": mine_banks, "record": mine_history}[service](file)
    main()
