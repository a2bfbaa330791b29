"""Keeps a few processes running: a dead one is started again within a second, SIGTERM ends them in good order.

One that ends at once every time is started again ever more rarely, and the others go on: what is wrong with one program
is its own. Only where nobody would come to look, as in a demo, is it given up.
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import structlog

from deploy.local_stack.health_watch import HealthWatch
from ingest.parent_process import ends_with_parent

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

RESTART_SECONDS = 0.5
"""Between the death of a process and its restart: long enough not to spin, within the second that is promised."""
WATCH_SECONDS = 0.1
STOP_SECONDS = 20.0
"""For a clean end after SIGTERM: a service drains its queue for up to 10 s; then SIGKILL."""
LONGEST_RESTART_SECONDS = 30.0
"""The wait doubles with each death soon after a start, up to this."""
QUICK_SECONDS, QUICK_DEATHS = 20.0, 5
"""A program that ends so often in a row, each time so soon after its start, cannot run here as things are."""
WRONG_USE = 2
"""Exit code for wrong use: starting it again cannot cure that."""


class WillNotRun(Exception):
    """A process ended for wrong settings or arguments when it was first started; or is given up."""


@dataclass(frozen=True)
class ProgramState:
    """How a program stands."""

    name: str
    running: bool
    restarts: int
    quick_deaths: int
    """In a row, each soon after a start; 0 once it has run for a while."""
    exit_code: int | None
    """Of its last end; None where it has not ended yet."""

    @property
    def fault(self) -> str | None:
        """What is wrong with it, in words; None where nothing is."""
        if self.quick_deaths > 1:
            often = f"{self.quick_deaths} times soon after its start"
            return f"{self.name} ended {often}, last with exit code {self.exit_code}"
        return None if self.running else f"{self.name} ended with exit code {self.exit_code} and is started again"


@dataclass(frozen=True)
class Program:
    """What to run. `environ` is the whole environment; output goes to the end of `log_file`, or where ours goes."""

    name: str
    arguments: Sequence[str]
    environ: Mapping[str, str]
    log_file: Path | None = None
    health_port: int | None = None
    """Of its /healthz; one that fails there for a minute is killed, and started again. None: it is not asked."""


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    quick_deaths: int = 0
    due: float | None = None
    """When to start it again; None while it runs."""
    restarts: int = 0
    exit_code: int | None = None
    health: HealthWatch | None = None


@dataclass
class Supervisor:
    """Starts programs, restarts what dies, and stops them in the opposite order. Use it as a context manager."""

    clock: Callable[[], float] = time.monotonic
    restart_seconds: float = RESTART_SECONDS
    give_up: bool = False
    """Whether a program that ends at once every time is given up."""
    watch_health: Callable[[int], HealthWatch] = lambda port: HealthWatch(port, clock=time.monotonic)
    """Who asks for the health of a program with this port."""
    _running: list[_Running] = field(default_factory=list)

    def start(self, program: Program) -> None:
        """Start a program and look after it from now on."""
        health = None if program.health_port is None else self.watch_health(program.health_port)
        self._running.append(_Running(program, _spawn(program), self.clock(), health=health))
        if health is not None:
            health.started()
        structlog.get_logger().info("started", program=program.name, pid=self._running[-1].process.pid)

    def watch(self, until: threading.Event, *, looked: Callable[[], None] = lambda: None) -> None:
        """Restart what dies until the event is set; `looked` is called after each round.

        Raises:
            WillNotRun: a program was started with wrong settings, or is given up; the others are still to be stopped.
        """
        while not until.wait(WATCH_SECONDS):
            self.look()
            looked()

    def look(self) -> None:
        """One round of `watch`."""
        for running in self._running:
            if running.due is None:
                _end_unwell(running)
                self._note_death(running)
                self._note_life(running)
            elif self.clock() >= running.due:
                running.process, running.due = _spawn(running.program), None
                running.started_at = self.clock()
                running.restarts += 1
                if running.health is not None:
                    running.health.started()
                structlog.get_logger().info("restarted", program=running.program.name, pid=running.process.pid)

    def states(self) -> tuple[ProgramState, ...]:
        """How every program stands; from any thread."""
        return tuple(
            ProgramState(each.program.name, each.due is None, each.restarts, each.quick_deaths, each.exit_code)
            for each in self._running
        )

    def restarts(self) -> dict[str, int]:
        """How often each program had to be started again."""
        return {running.program.name: running.restarts for running in self._running}

    def pid(self, name: str) -> int:
        """The process id of a program. Raises KeyError for a name that is none."""
        return {running.program.name: running.process.pid for running in self._running}[name]

    def stop(self) -> None:
        """SIGTERM to all, last started first, and SIGKILL to what has not ended in time."""
        for running in reversed(self._running):
            if running.process.poll() is None:
                running.process.terminate()
        deadline = self.clock() + STOP_SECONDS
        for running in reversed(self._running):
            if running.health is not None:
                running.health.stop()
            _reap(running, max(0.0, deadline - self.clock()))
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _note_death(self, running: _Running) -> None:
        code = running.process.poll()
        if code is None:
            return
        soon = self.clock() - running.started_at < QUICK_SECONDS
        if code == WRONG_USE and soon and not running.restarts:
            raise WillNotRun(f"{running.program.name} cannot run as it is set up; its last lines say why")
        running.exit_code = code
        running.quick_deaths = running.quick_deaths + 1 if soon else 0
        if self.give_up and running.quick_deaths >= QUICK_DEATHS:
            raise WillNotRun(f"{running.program.name} ended {QUICK_DEATHS} times at once; its last lines say why")
        wait = min(LONGEST_RESTART_SECONDS, self.restart_seconds * 2 ** max(0, running.quick_deaths - 1))
        running.due = self.clock() + wait
        log = structlog.get_logger()
        log.warning("died", program=running.program.name, exit_code=code, starts_again_in_seconds=wait)

    def _note_life(self, running: _Running) -> None:
        if running.due is None and self.clock() - running.started_at >= QUICK_SECONDS:
            running.quick_deaths = 0


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    with ExitStack() as stack:
        output = stack.enter_context(program.log_file.open("ab")) if program.log_file else None
        return subprocess.Popen(  # noqa: S603 -- our own command line
            program.arguments,
            env=dict(program.environ),
            stdin=subprocess.DEVNULL,
            stderr=output,
            stdout=output,
            process_group=0,  # Ctrl-C reaches the supervisor alone, which then stops them in order
            preexec_fn=ends_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- two system calls, no locks taken
        )


def _end_unwell(running: _Running) -> None:
    """SIGKILL: what does not answer would not end in good order. Its death is noted as any other."""
    fault = running.health.fault if running.health is not None else None
    if fault is not None and running.process.poll() is None:
        structlog.get_logger().error("replaced", program=running.program.name, cause=fault)
        running.process.kill()
        running.process.wait()


def _reap(running: _Running, seconds: float) -> None:
    try:
        running.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        structlog.get_logger().warning("killed", program=running.program.name, after_seconds=STOP_SECONDS)
        running.process.kill()
        running.process.wait()
