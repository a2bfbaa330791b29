"""A container's health check: it tells whether the service is alive, and ends one that is not for too long."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from monitoring.healthcheck import START_SECONDS, Notes, check
from tests.brokers import free_port
from tests.e2e.services import wait_until

if TYPE_CHECKING:
    from pathlib import Path


def test_it_counts_from_the_first_failure_after_the_last_time_that_the_service_was_well(tmp_path: Path) -> None:
    """A service that was never well yet may still be starting."""
    notes = Notes(tmp_path, 9401)
    assert notes.failing_seconds("refused", 10.0) == 0
    assert notes.failing_seconds("refused", 10.0 + START_SECONDS) == 0
    assert notes.failing_seconds("refused", 15.0 + START_SECONDS) == 5
    assert notes.failing_seconds(None, 200.0) == 0
    assert notes.failing_seconds("refused", 210.0) == 0
    assert Notes(tmp_path, 9401).failing_seconds("refused", 240.0) == 30
    assert Notes(tmp_path, 9402).failing_seconds("refused", 240.0) == 0


@pytest.mark.process
def test_the_children_of_the_first_process_are_ended(tmp_path: Path) -> None:
    """The service, which hangs; nothing that lies below other processes."""
    port = free_port()
    code = "import subprocess, sys; sys.exit(subprocess.run(['sleep', '600']).returncode != -9)"
    first = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert Notes(tmp_path, port).failing_seconds(None, 0.0) == 0
        assert "refused" in (check(port, end_after_seconds=0.0, folder=tmp_path, first=first.pid) or "")
        assert first.poll() is None

        def ended() -> bool:
            check(port, end_after_seconds=0.0, folder=tmp_path, first=first.pid)
            return first.poll() is not None

        wait_until(ended, "the end of the service")
        assert first.returncode == 0
    finally:
        first.kill()
        first.wait(30)
