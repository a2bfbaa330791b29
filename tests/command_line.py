"""The `patchline` command run in this process: one of its own costs a second of imports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from deploy.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., "Ended"]


class Ended(NamedTuple):
    """How a command ended in this process."""

    code: int
    out: str
    err: str


def in_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands that end at once, in that folder, on a terminal of 100 columns.

    Logs stay as they are: a logger keeps for ever what it was configured with at its first line, and this test's stderr
    is closed when the next one logs.
    """
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("deploy.process.logs.configure_logs", lambda *_, **__: None)
    monkeypatch.setattr("ingest.kafka.client_logs.ClientLog.emit", lambda *_: None)  # as a command's own logs have it
    for name in os.environ:
        if name.startswith("PATCHLINE"):
            monkeypatch.delenv(name)

    def ended(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        assert isinstance(exited.value.code, int)
        return Ended(exited.value.code, *capsys.readouterr())

    return ended
