"""Which tests start processes: those marked `process`; another test that starts one fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

MARKS = ("browser", "embedded", "export", "kafka", "node", "postgresql", "prometheus")
FIXTURES = ("embedded_broker", "kafka_broker", "kafka_home")
"""Tests with one of these marks or fixtures start processes: `process` is added to them."""

EVENTS = frozenset(
    {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "subprocess.Popen"}
)
"""The audit events with which Python starts a process."""


class ProcessStarts:
    """A pytest plugin: adds the mark where another mark implies it, and fails a test that starts one without it."""

    def __init__(self) -> None:
        self._started: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and arguments[:1] != ("lscpu",):  # scikit-learn counts cores with it, once
            self._started.append(" ".join([event, *map(str, arguments[:1])]))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before pytest selects by marks."""
        for item in items:
            marked = any(item.get_closest_marker(mark) for mark in MARKS)
            if marked or not set(FIXTURES).isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker("process")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """A test's fixtures count as the test."""
        self._started.clear()
        return (yield)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Fails after a body that passed; one that failed says more by itself."""
        yield
        if self._started and not item.get_closest_marker("process"):
            pytest.fail(f"mark it `process`, as it starts {self._started}", pytrace=False)
