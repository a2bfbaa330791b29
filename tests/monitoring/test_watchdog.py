"""A loop that stops going round costs its process a minute later, and systemd hears of one that goes round."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitoring.health import Heartbeat
from monitoring.watchdog import EXIT_CODE, Watchdog, systemd_notifier

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hanging_loop_ends_the_process_after_its_grace() -> None:
    """Not before: a slow batch is no hang, and a person may be looking. Until the first beat it is starting."""
    now, ended, told = [0.0], [], []
    heartbeat = Heartbeat(limit_seconds=60, clock=lambda: now[0])
    watchdog = Watchdog(heartbeat, notify=told.append, end=ended.append)
    now[0] = 500.0
    watchdog.look()
    heartbeat.beat()
    for seconds in (500.0, 560.0, 561.0, 620.0):
        now[0] = seconds
        watchdog.look()
    assert (ended, told) == ([], [b"WATCHDOG=1"] * 3)
    now[0] = 620.5
    watchdog.look()
    assert ended == [EXIT_CODE]


def test_systemd_is_told_by_its_own_protocol(tmp_path: Path) -> None:
    """The datagrams of sd_notify(3), to a path and to an abstract address."""
    for address, bound in ((str(tmp_path / "s"), str(tmp_path / "s")), ("@patchline-test", "\0patchline-test")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(bound)
            systemd.settimeout(5)
            heartbeat = Heartbeat(limit_seconds=60, clock=lambda: 0.0)
            with Watchdog(heartbeat, notify=systemd_notifier(address), look_seconds=0.01):
                assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]


def test_without_systemd_nothing_is_told() -> None:
    """And a socket that is gone is of no importance."""
    systemd_notifier(None)(b"READY=1")
    systemd_notifier("/nowhere/at/all")(b"READY=1")


@pytest.mark.process
@pytest.mark.slow
def test_a_process_that_hangs_ends() -> None:
    """With the code that a supervisor restarts for, though its main thread never comes back."""
    program = (
        "import time; from monitoring.health import Heartbeat; from monitoring.watchdog import Watchdog\n"
        "heartbeat = Heartbeat(limit_seconds=0.1, clock=time.monotonic); heartbeat.beat()\n"
        "with Watchdog(heartbeat, grace_seconds=0.1, look_seconds=0.05): time.sleep(600)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == EXIT_CODE
