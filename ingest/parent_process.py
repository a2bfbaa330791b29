"""Child processes that end with the process that started them, however it ended (Linux)."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import Signals

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here: between fork and exec nothing may be imported


class ParentGone(Exception):
    """The process that started this one has ended already."""


def die_with_parent(how: Signals, *, parent_pid: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends.

    Raises:
        ParentGone: it has ended already, so the kernel would never send it.
        OSError: the kernel refuses.
    """
    if LIBC.prctl(PR_SET_PDEATHSIG, how, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise ParentGone


def ends_with_parent(how: Signals) -> Callable[[], None] | None:
    """The `preexec_fn` of a child that is to end with this process; None where the kernel cannot do it.

    The signal is tied to the thread that starts the child: only the main thread lives as long as the process.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    parent_pid = os.getpid()

    def preexec() -> None:
        die_with_parent(how, parent_pid=parent_pid)

    return preexec
