"""The unit for machines without containers: what it starts exists, and what it asks of the service the service does."""

from __future__ import annotations

import configparser
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from deploy.cli import COMMANDS
from monitoring.health import Heartbeat
from monitoring.watchdog import LOOK_SECONDS, Watchdog
from tests.brokers import free_port
from tests.e2e.services import PATCHLINE, environment

UNIT = Path(__file__).parents[2] / "deploy/systemd/patchline@.service"


def service() -> dict[str, str]:
    """Its service section."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    return dict(parser["Service"])


def test_the_services_it_names_are_ours() -> None:
    """As its first line shows them."""
    named = [word.partition("@")[2] for word in UNIT.read_text(encoding="utf-8").splitlines()[0].split() if "@" in word]
    assert set(named) == {"inspect", "train", "watch", "record", "console"}
    assert set(named) <= {command.name for command in COMMANDS}


def test_the_watchdog_hears_more_often_than_it_asks() -> None:
    """Several times; and it asks of a kind of service that says when it is there."""
    unit = service()
    assert (unit["Type"], unit["NotifyAccess"], unit["Restart"]) == ("notify", "main", "always")
    assert int(unit["WatchdogSec"]) > 5 * LOOK_SECONDS
    told: list[bytes] = []
    with Watchdog(Heartbeat(limit_seconds=60, clock=lambda: 0.0), notify=told.append, look_seconds=3600):
        assert told == [b"READY=1"]
    assert told == [b"READY=1", b"STOPPING=1"]


@pytest.mark.process
@pytest.mark.slow
def test_the_console_tells_systemd_too(tmp_path: Path) -> None:
    """It said nothing, and its unit never came up: of the services it has no loop of ours."""
    address = str(tmp_path / "notify")
    flags = {"record.database": f"sqlite:///{tmp_path}/record.sqlite", "console.port": str(free_port())}
    words = [text for name, value in flags.items() for text in ("--set", f"{name}={value}")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(60)
        environ = environment(NOTIFY_SOCKET=address)
        console = subprocess.Popen([PATCHLINE, "console", *words], env=environ, cwd=tmp_path)
        try:
            assert [systemd.recv(64), systemd.recv(64)] == [b"READY=1", b"WATCHDOG=1"]
            console.terminate()
            assert console.wait(60) == 0
        finally:
            console.kill()
            console.wait()
        told = systemd.recv(64)
        while told == b"WATCHDOG=1":
            told = systemd.recv(64)
        assert told == b"STOPPING=1"


@pytest.mark.process
@pytest.mark.slow
def test_systemd_takes_it(tmp_path: Path) -> None:
    """Systemd's own check finds no unknown key."""
    checker = shutil.which("systemd-analyze")
    if checker is None:
        pytest.skip("systemd-analyze is not installed (Debian package systemd)")
    unit = tmp_path / "patchline@inspect.service"
    unit.write_text(
        UNIT.read_text(encoding="utf-8").replace("/opt/patchline/bin/patchline", "/bin/true"), encoding="utf-8"
    )
    checked = subprocess.run(
        [checker, "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "patchline@" not in checked.stderr
