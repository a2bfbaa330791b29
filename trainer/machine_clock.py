"""The clock by which a build measures what a frame costs on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable


def machine_clock(provider: str) -> Callable[[], float]:
    """Seconds of all cores' work in this process; by the wall where a GPU does it."""
    cores = available_cores()
    return (lambda: time.process_time() / cores) if provider == "cpu" else time.perf_counter
