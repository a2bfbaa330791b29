"""Tests on several processes: `--workers N` forks them from the one that has imported and collected every test.

Each worker takes one file after the other, so that what the tests of a file share is made once. Workers that start
anew, as pytest-xdist's do, import four thousand modules and collect all tests each: a tenth of what a run takes.
"""

from __future__ import annotations

import multiprocessing
import os
import struct
from itertools import groupby
from multiprocessing.connection import Connection, wait
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NUMBER = struct.Struct("<I")


class ForkedWorkers:
    """A pytest plugin: runs what was collected on that many workers, and reports as one process would."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Pytest's own loop runs where there is nothing to share, and says why nothing runs."""
        files = [list(items) for _, items in groupby(session.items, attrgetter("path"))]
        if session.config.option.collectonly or session.testsfailed or len(files) == 1:
            return None
        run = _Run(session, _numbers(len(files)))
        for name in range(min(self._workers, len(files))):
            run.fork(f"worker-{name}", files)
        run.finish()
        return True


class _Run:
    """The side of the process that collected: it shows what the workers report."""

    def __init__(self, session: pytest.Session, numbers: int) -> None:
        self._session = session
        self._numbers = numbers
        self._workers: dict[Connection, multiprocessing.process.BaseProcess] = {}
        self._unfinished = {item.nodeid: item for item in session.items}

    def fork(self, name: str, files: Sequence[Sequence[pytest.Item]]) -> None:
        """Start a worker."""
        reader, writer = multiprocessing.Pipe(duplex=False)
        arguments = (name, self._session, _items(files, self._numbers), writer)
        process = multiprocessing.get_context("fork").Process(target=_work, args=arguments, name=name)
        process.start()
        writer.close()  # so that a worker's end is the end of what can be read
        self._workers[reader] = process

    def finish(self) -> None:
        """Show reports until all workers have ended; a test without one fails: its worker died."""
        try:
            while self._workers:
                for reader in wait(self._workers):
                    self._show_next(reader)  # type: ignore[arg-type] -- it waits for what it was given
                if self._session.shouldfail:
                    raise self._session.Failed(self._session.shouldfail)
                if self._session.shouldstop:
                    raise self._session.Interrupted(self._session.shouldstop)
        finally:
            for process in self._workers.values():
                process.terminate()
                process.join()
            os.close(self._numbers)
        for item in self._unfinished.values():
            self._report(_unfinished(item))

    def _show_next(self, reader: Connection) -> None:
        try:
            sent = reader.recv()
        except EOFError:
            self._workers.pop(reader).join()
            return
        report = self._session.config.hook.pytest_report_from_serializable(config=self._session.config, data=sent)
        if report.when == "teardown":
            del self._unfinished[report.nodeid]
        self._report(report)

    def _report(self, report: pytest.TestReport) -> None:
        self._session.config.hook.pytest_runtest_logreport(report=report)


class _Forwarded:
    """A worker's side: its reports go to the process that collected."""

    def __init__(self, config: pytest.Config, writer: Connection) -> None:
        self._config = config
        self._writer = writer

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """As what can be sent."""
        self._writer.send(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))


def _work(name: str, session: pytest.Session, items: Iterator[pytest.Item], writer: Connection) -> None:
    """In a worker: run files while there are any."""
    config = session.config
    _own_what_processes_cannot_share(config, name)
    config.pluginmanager.unregister(name="terminalreporter")
    config.pluginmanager.register(_Forwarded(config, writer))
    item = next(items, None)
    while item is not None and not (session.shouldfail or session.shouldstop):
        following = next(items, None)
        config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        item = following


def _own_what_processes_cannot_share(config: pytest.Config, name: str) -> None:
    """The files that output is captured in, whose positions are one, and the folder of temporary folders."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._basetemp = folders.mktemp(name, numbered=False)


def _numbers(count: int) -> int:
    """A pipe that holds the numbers from 0 on: whichever process reads one has it alone."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)  # more than it holds would wait for ever
    for number in range(count):
        os.write(writer, NUMBER.pack(number))
    os.close(writer)
    return reader


def _items(files: Sequence[Sequence[pytest.Item]], numbers: int) -> Iterator[pytest.Item]:
    """The tests of each file whose number this process reads."""
    while number := os.read(numbers, NUMBER.size):
        yield from files[NUMBER.unpack(number)[0]]


def _unfinished(item: pytest.Item) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=f"{item.nodeid} has no result: the worker that ran its file died",
        when="call",
    )
