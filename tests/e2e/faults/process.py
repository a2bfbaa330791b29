"""The `patchline` command as a process that dies by kill -9 at one point of its work, when a file tells it to.

`python -m tests.e2e.faults.process FILE ARGUMENTS...`: FILE names the point; the one that dies removes it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Literal

from deploy.cli import main
from ingest.kafka.producing import TransactionalProducer
from ingest.store import FsspecStore

Point = Literal["before send", "after send", "inside commit", "between bank file and bank state"]


def die_at(point: Point, file: Path) -> None:
    """Kill this process if that is the point the file names, and no other process was quicker to take it."""
    try:
        if file.read_text() != point:
            return
        file.rename(file.with_suffix(f".{os.getpid()}"))
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def mine_transactions(file: Path) -> None:
    """Have every transaction of this process pass its three points."""
    transact, wait = TransactionalProducer.transact, TransactionalProducer._wait
    waits: list[Point] = ["after send", "inside commit"]  # the offsets are on their way, then the end of it all
    left: list[Point] = []

    def transacting(self: TransactionalProducer, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- passed on
        die_at("before send", file)
        left[:] = waits
        transact(self, *arguments, **named)

    def waiting(self: TransactionalProducer, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 -- passed on
        if left:
            die_at(left.pop(0), file)
        wait(self, *arguments, **named)

    TransactionalProducer.transact = transacting  # type: ignore[method-assign]
    TransactionalProducer._wait = waiting  # type: ignore[method-assign]


def mine_banks(file: Path) -> None:
    """Have this process pass a point with every bank that it stores."""
    put = FsspecStore.put

    def putting(self: FsspecStore, path: str, data: bytes) -> None:
        put(self, path, data)
        if path.startswith("banks/"):
            die_at("between bank file and bank state", file)

    FsspecStore.put = putting  # type: ignore[method-assign]


if __name__ == "__main__":
    file, service = Path(sys.argv.pop(1)), sys.argv[1]
    # A trainer commits transactions, too: it must not take an inspection's death.
    (mine_transactions if service == "inspect" else mine_banks)(file)
    main()
