"""One build in a process of its own, seen from the trainer: started, polled, stopped; never waited for.

A build takes a minute of CPU and may be killed for memory; frames must be read meanwhile, every few milliseconds.
`trainer.build_child` is what runs in there.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from trainer.build_order import BuildAnswer, BuildFailed, BuildFinished, BuildOrder, BuildStep, answer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = structlog.get_logger(__name__)

CHILD_MODULE = "trainer.build_child"
# Read when the libraries load, so they have to stand in the child's environment before it starts.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
KILL_SECONDS = 5.0


class BuildProcess:
    """A running build. `poll` never blocks."""

    def __init__(
        self,
        order: BuildOrder,
        *,
        timeout_seconds: float,
        memory_bytes: int | None = None,
        clock: Callable[[], float],
        child: tuple[str, ...] = (sys.executable, "-m", CHILD_MODULE),
    ) -> None:
        """Start it; `memory_bytes`: of its own, at most.

        The order goes through a file: a pipe would make the trainer wait for a child that is still importing.

        Raises:
            OSError: the process could not be started.
        """
        self.order = order
        self._timeout_seconds = timeout_seconds
        self._memory_bytes = memory_bytes
        self._clock = clock
        self._started_at = clock()
        self._rest = b""
        self._last: BuildAnswer | None = None
        order_file = Path(order.result).with_suffix(".order")
        order_file.write_bytes(order.model_dump_json().encode())
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [*child, str(order_file), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(order.threads))},  # passed on, not read
        )
        os.set_blocking(self._stdout, False)

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return self._clock() - self._started_at

    def poll(self) -> BuildAnswer | None:
        """The latest step, or how the build ended; None before its first report. Ended, it returns the same again."""
        if isinstance(self._last, BuildFinished | BuildFailed):
            return self._last
        ended = self._process.poll() is not None  # before the last lines are read, or they could be missed
        for answer in self._answers():
            self._last = answer
        if ended and not isinstance(self._last, BuildFinished | BuildFailed):
            self._last = BuildFailed(failed=_death(self._process.returncode))
        elif not ended and self.seconds > self._timeout_seconds:
            self.kill()
            self._last = BuildFailed(
                failed=f"the build took longer than build_timeout_seconds, {self._timeout_seconds:g} s"
            )
        elif not ended and self._memory_bytes is not None and (taken := own_bytes(self.pid)) > self._memory_bytes:
            self.kill()
            self._last = BuildFailed(
                failed=f"the build took {taken} bytes of memory, build_memory_bytes allows {self._memory_bytes}: lower "
                "window_frames or the input size, or raise it"
            )
        return self._last

    def kill(self) -> None:
        """Stop it at once; well for one that has ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(KILL_SECONDS)
        self.close()

    def close(self) -> None:
        """Let go of the pipe of a build that has ended."""
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def _stdout(self) -> int:
        return self._process.stdout.fileno() if self._process.stdout is not None else -1

    def _answers(self) -> Iterator[BuildAnswer]:
        *lines, self._rest = (self._rest + self._read()).split(b"\n")
        for line in lines:
            try:
                yield answer_of(line)
            except ValidationError:
                log.warning("build_output_ignored", line=line[:200].decode("utf-8", "replace"))

    def _read(self) -> bytes:
        parts: list[bytes] = []
        try:
            while part := os.read(self._stdout, 2**16):
                parts.append(part)
        except BlockingIOError:
            pass  # nothing more to read yet
        return b"".join(parts)


def own_bytes(pid: int) -> int:
    """Memory that a process has for itself alone, in bytes; 0 where it has ended, or the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("RssAnon", "0 kB").split()[0]) * 1024


def progress_ratio(step: BuildStep) -> float:
    """How far the stage is, 0 to 1."""
    return min(1.0, step.done / step.total) if step.total else 0.0


def _death(returncode: int) -> str:
    if returncode >= 0:
        return f"the build process ended with exit code {returncode} and gave no bank; its own output says more"
    name = signal.Signals(-returncode).name
    hint = ": most likely out of memory; lower window_frames or the input size" if name == "SIGKILL" else ""
    return f"the build process was killed by {name}{hint}"
