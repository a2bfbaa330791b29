"""`python -m monitoring.healthcheck PORT`: exit code 0 where the service with this metrics port says that it is alive.

For a container's health check, in an image that has no curl. A container engine only notes that a service is not well:
with `--end-after SECONDS` the children of the container's first process (Docker's `init`) are killed once the service
has failed for so long, and the engine starts the container again by its restart policy. Until the service has been well
for the first time it has two minutes more.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

PATIENCE_SECONDS = 5.0
START_SECONDS = 120.0
INIT = 1
OUTSIDE = 0
"""The parent of a process that was put into a container from outside, as health checks are."""


def alive(port: int) -> str | None:
    """Why the service is not alive; None where it is."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE_SECONDS):
            return None
    except (URLError, OSError) as error:
        return f"port {port}: {error}"


class Notes:
    """What one check tells the next, in files."""

    def __init__(self, folder: Path, port: int) -> None:
        self._well = folder / f"patchline-well-{port}"
        self._failing = folder / f"patchline-failing-{port}"

    def failing_seconds(self, why: str | None, now: float) -> float:
        """How long the service has not been well, less what it may take to start; 0 where it is well."""
        if why is None:
            self._well.touch()
            self._failing.unlink(missing_ok=True)
            return 0.0
        try:
            since = float(self._failing.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            since = now if self._well.exists() else now + START_SECONDS
            self._failing.write_text(str(since), encoding="utf-8")
        return max(0.0, now - since)


def end_children(of: int) -> None:
    """SIGKILL to the children of a process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rsplit(") ", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == of:
            os.kill(int(stat.parent.name), signal.SIGKILL)


def check(port: int, *, end_after_seconds: float, folder: Path, first: int) -> str | None:
    """One check, that ends the children of `first` where the service fails for too long; `folder` keeps notes."""
    why = alive(port)
    if Notes(folder, port).failing_seconds(why, time.monotonic()) > end_after_seconds:
        end_children(first)
    return why


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Whether a service is alive.")
    parser.add_argument("port", type=int)
    parser.add_argument("--end-after", type=float, metavar="SECONDS")
    given = parser.parse_args()
    if given.end_after is None or os.getppid() != OUTSIDE:
        sys.exit(alive(given.port))
    notes = Path(tempfile.gettempdir())
    sys.exit(check(given.port, end_after_seconds=given.end_after, folder=notes, first=INIT))
