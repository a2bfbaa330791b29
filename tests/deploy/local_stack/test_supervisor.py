"""Processes are restarted within a second, stopped in order, and never left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from deploy.local_stack.health_watch import HealthWatch
from deploy.local_stack.supervisor import Program, Supervisor, WillNotRun
from deploy.local_stack.supervisor_health import SupervisorReporting, readiness_of
from monitoring.healthcheck import alive as answering
from monitoring.metrics import declare_up
from tests.brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.process

SLEEPER = "import time\nwhile True: time.sleep(0.05)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


def program(code: str, *, name: str = "sleeper", log_file: Path | None = None) -> Program:
    """A Python program of our own."""
    return Program(name, [sys.executable, "-c", code], dict(os.environ), log_file)


def until(happened: Callable[[], bool], seconds: float = 10.0) -> float:
    """Seconds until it happened; fails where it does not."""
    begun = time.monotonic()
    while not happened():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.01)
    return time.monotonic() - begun


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


def looks(supervisor: Supervisor, happened: Callable[[], bool]) -> Callable[[], bool]:
    """A condition that also makes the supervisor look."""

    def look() -> bool:
        supervisor.look()
        return happened()

    return look


def test_a_killed_process_is_back_within_a_second() -> None:
    """A line stands while its inspection is down."""
    with Supervisor() as supervisor:
        supervisor.start(program(SLEEPER))
        first = supervisor.pid("sleeper")
        os.kill(first, signal.SIGKILL)
        assert until(looks(supervisor, lambda: supervisor.restarts()["sleeper"] == 1)) < 1.0
        assert supervisor.pid("sleeper") != first
        assert alive(supervisor.pid("sleeper"))


def test_a_process_that_says_wrong_use_is_not_restarted() -> None:
    """Starting it again cannot cure a wrong setting."""
    with Supervisor() as supervisor:
        supervisor.start(program("raise SystemExit(2)"))
        with pytest.raises(WillNotRun, match="sleeper cannot run as it is set up"):
            until(looks(supervisor, lambda: False))


def test_a_process_that_ends_at_once_every_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken stays taken: the person at the terminal must see why, not scroll for it."""
    monkeypatch.setattr("deploy.local_stack.supervisor.QUICK_DEATHS", 2)
    with Supervisor(restart_seconds=0.01, give_up=True) as supervisor:
        supervisor.start(program("raise SystemExit(1)"))
        with pytest.raises(WillNotRun, match="sleeper ended 2 times at once"):
            until(looks(supervisor, lambda: False))


def test_a_process_that_ends_at_once_every_time_is_tried_ever_more_rarely_and_the_others_go_on() -> None:
    """One program's fault is its own, whatever its exit code says after its first start."""
    now = [0.0]
    with Supervisor(clock=lambda: now[0]) as supervisor:
        supervisor.start(program(SLEEPER, name="healthy"))
        supervisor.start(program("raise SystemExit(1)", name="broken"))
        healthy, waits = supervisor.pid("healthy"), []
        for death in range(9):
            broken = supervisor._running[1]
            broken.process.wait(10)
            if death == 3:
                broken.process.returncode = 2  # wrong use, once it has run: the settings file was changed, say
            supervisor.look()
            assert broken.due is not None
            waits.append(broken.due - now[0])
            now[0] = broken.due
            supervisor.look()
        assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
        assert supervisor.pid("healthy") == healthy
        assert alive(healthy)


def test_it_says_which_program_does_not_stay() -> None:
    """For /readyz and for alerts, until it has run for a while."""
    now = [0.0]
    registry = CollectorRegistry()
    reporting = SupervisorReporting(declare_up(registry))
    with Supervisor(clock=lambda: now[0]) as supervisor:
        assert readiness_of(supervisor.states()).sentence == "Not ready: waiting for a broker."
        supervisor.start(program(SLEEPER, name="train"))
        for _ in range(2):
            supervisor._running[0].process.kill()
            supervisor._running[0].process.wait(10)
            supervisor.look()
            now[0] += 1
            supervisor.look()
        reporting.show(supervisor.states())
        assert readiness_of(supervisor.states()).sentence == (
            "Not ready: train ended 2 times soon after its start, last with exit code -9. The others go on."
        )
        assert registry.get_sample_value("patchline_service_restarts_total", {"service": "train"}) == 2
        assert registry.get_sample_value("patchline_service_running", {"service": "train"}) == 1
        now[0] += 30
        supervisor.look()
        assert readiness_of(supervisor.states()).ready


def test_a_process_that_lived_a_while_is_always_restarted() -> None:
    """Deaths far apart are bad luck, however many."""
    now = [0.0]
    with Supervisor(clock=lambda: now[0]) as supervisor:
        supervisor.start(program(SLEEPER))
        for death in range(1, 8):
            now[0] += 100
            os.kill(supervisor.pid("sleeper"), signal.SIGKILL)

            def restarted(death: int = death) -> bool:
                now[0] += 0.01
                return supervisor.restarts()["sleeper"] == death

            until(looks(supervisor, restarted))


def test_a_program_whose_health_page_fails_is_replaced(tmp_path: Path) -> None:
    """It answers, then hangs whole (SIGSTOP): it is killed and started again, and answers again."""
    port = free_port()
    code = (
        "import http.server\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers()\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), H).serve_forever()"
    )

    def watched(at: int) -> HealthWatch:
        return HealthWatch(at, clock=time.monotonic, limit_seconds=4, start_seconds=60, ask_seconds=0.1)

    page = Program("page", [sys.executable, "-c", code], dict(os.environ), tmp_path / "log", health_port=port)
    with Supervisor(watch_health=watched) as supervisor:
        supervisor.start(page)
        until(looks(supervisor, lambda: answering(port) is None), 60)
        time.sleep(2)  # until the watch, which asks ten times a second, has its answer too: then the start is over
        first = supervisor.pid("page")
        os.kill(first, signal.SIGSTOP)
        until(looks(supervisor, lambda: supervisor.restarts()["page"] == 1), 60)
        assert not alive(first)
        until(looks(supervisor, lambda: answering(port) is None), 60)
        assert supervisor.restarts()["page"] == 1


def test_leaving_stops_everything() -> None:
    """SIGTERM is enough for a program that listens."""
    with Supervisor() as supervisor:
        supervisor.start(program(SLEEPER, name="a"))
        supervisor.start(program(SLEEPER, name="b"))
        pids = [supervisor.pid("a"), supervisor.pid("b")]
    assert not any(map(alive, pids))


def test_a_process_that_ignores_sigterm_is_killed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging service must not hold up a restart of the machine."""
    monkeypatch.setattr("deploy.local_stack.supervisor.STOP_SECONDS", 0.5)
    log = tmp_path / "log"
    with Supervisor() as supervisor:
        supervisor.start(program(STUBBORN, log_file=log))
        until(lambda: log.read_text() == "up\n")
        pid = supervisor.pid("sleeper")
    assert not alive(pid)


def test_services_die_with_a_killed_supervisor() -> None:
    """Two inspections under one instance id would fence each other."""
    code = (
        "import os, sys, time\n"
        "from deploy.local_stack.supervisor import Program, Supervisor\n"
        f"s = Supervisor(); s.start(Program('x', [sys.executable, '-c', {SLEEPER!r}], dict(os.environ)))\n"
        "print(s.pid('x'), flush=True); time.sleep(60)"
    )
    import subprocess  # noqa: PLC0415 -- this test alone starts a supervisor as a process

    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        # structlog's own default prints to stdout, too: the pid is the line that is a number.
        child = next(int(line) for line in iter(parent.stdout.readline, b"") if line.strip().isdigit())
        assert alive(child)
        parent.kill()
    until(lambda: not alive(child))


def test_output_goes_to_the_log_file(tmp_path: Path) -> None:
    """What a service says last is what explains its end."""
    log = tmp_path / "service.log"
    with Supervisor() as supervisor:
        supervisor.start(program("import sys, time; print('to stderr', file=sys.stderr); time.sleep(9)", log_file=log))
        until(lambda: log.read_text() == "to stderr\n")
