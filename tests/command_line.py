"""The `patchline` command run in this process: one of its own costs a second of imports."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest
import structlog

from deploy.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., "Ended"]


class Ended(NamedTuple):
    """How a command ended in this process."""

    code: int
    out: str
    err: str


@contextmanager
def in_this_process(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run commands that end at once, in that folder, on a terminal of 100 columns; logs are then as they were."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "100")
    for name in os.environ:
        if name.startswith("PATCHLINE"):
            monkeypatch.delenv(name)
    root, logging_before = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level

    def ended(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as exited:
            main(arguments)
        assert isinstance(exited.value.code, int)
        return Ended(exited.value.code, *capsys.readouterr())

    yield ended
    structlog.configure(**logging_before)
    root.handlers[:] = handlers
    root.setLevel(level)
