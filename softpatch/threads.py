"""How many cores this process may use: one worker each, and no library below spins up threads of its own."""

import os


def available_cores() -> int:
    """The cores that the scheduler grants this process (a container's share, not the machine's)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
