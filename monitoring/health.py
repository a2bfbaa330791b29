"""`/metrics`, `/healthz` and `/readyz` of one service, on a small HTTP server in a thread of its own.

Alive means that the service's loop has beaten lately: a process that hangs answers 503 and is restarted. Ready means
that it can do its work now; a service that is alive and not ready says why in one sentence and is left alone.
"""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from prometheus_client import CONTENT_TYPE_LATEST

from monitoring.exposition import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

PLAIN_TEXT = "text/plain; charset=utf-8"

CLOSES_WITHIN_SECONDS = 0.05
"""How often the server looks whether it shall close."""


class PortInUse(OSError):
    """Another process listens on this service's port."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is in use: stop what listens there, or set another metrics port")


@dataclass(frozen=True)
class Readiness:
    """Whether the service can do its work now, and one sentence that says so or why not."""

    ready: bool
    sentence: str


class Heartbeat:
    """When a loop last went round. The loop beats; the server's thread reads.

    `limit_seconds` is the longest silence of a loop that is well: longer than its slowest batch. Until the first beat
    the process is starting: it may wait for a broker as long as it takes, and readiness says so.
    """

    def __init__(self, *, limit_seconds: float, clock: Callable[[], float]) -> None:
        self.limit_seconds = limit_seconds
        self._clock = clock
        self._beaten_at: float | None = None

    def beat(self) -> None:
        """Say that the loop went round."""
        self._beaten_at = self._clock()

    @property
    def silent_seconds(self) -> float:
        """Time since the last beat; 0 before the first."""
        return 0.0 if self._beaten_at is None else self._clock() - self._beaten_at

    @property
    def alive(self) -> bool:
        """Whether the last beat is recent enough."""
        return self.silent_seconds <= self.limit_seconds


@dataclass(frozen=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    content_type: str = PLAIN_TEXT


class HealthServer:
    """Answers until it is closed; use it as a context manager. Port 0 takes a free one, which `port` returns."""

    def __init__(
        self,
        *,
        registry: CollectorRegistry,
        heartbeat: Heartbeat,
        ready: Callable[[], Readiness],
        port: int,
        host: str = "127.0.0.1",
    ) -> None:
        """Listen and start answering.

        Raises:
            PortInUse: another process listens on host and port.
            OSError: the address cannot be listened on for another reason.
        """
        pages = {
            "/metrics": lambda: _Answer(HTTPStatus.OK, exposition(registry), CONTENT_TYPE_LATEST),
            "/healthz": lambda: _health(heartbeat),
            "/readyz": lambda: _readiness(ready, heartbeat),
        }
        self._server = _listen(host, port, pages)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(CLOSES_WITHIN_SECONDS,), name="health", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _health(heartbeat: Heartbeat) -> _Answer:
    seconds = heartbeat.silent_seconds
    if seconds <= heartbeat.limit_seconds:
        return _Answer(HTTPStatus.OK, f"Alive: the loop went round {seconds:.1f} s ago.\n".encode())
    sentence = f"Not alive: the loop last went round {seconds:.1f} s ago, {heartbeat.limit_seconds:g} s are allowed.\n"
    return _Answer(HTTPStatus.SERVICE_UNAVAILABLE, sentence.encode())


def _readiness(ready: Callable[[], Readiness], heartbeat: Heartbeat) -> _Answer:
    """What the service says of itself; one whose loop hangs would go on saying what it said last."""
    seconds = heartbeat.silent_seconds
    try:
        readiness = ready()
        if seconds > heartbeat.limit_seconds:
            readiness = Readiness(ready=False, sentence=f"Not ready: the loop last went round {seconds:.1f} s ago.")
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is a reason not to be ready, and the prober must hear it
        readiness = Readiness(ready=False, sentence=f"Not ready: asking failed with {type(error).__name__}: {error}")
    status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
    return _Answer(status, f"{readiness.sentence}\n".encode())


def _listen(host: str, port: int, pages: dict[str, Callable[[], _Answer]]) -> ThreadingHTTPServer:
    try:
        server = ThreadingHTTPServer((host, port), _handler(pages))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        raise
    server.daemon_threads = True  # a scraper that never hangs up must not hold the process
    return server


def _handler(pages: dict[str, Callable[[], _Answer]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds a client may take over its request

        def do_GET(self) -> None:
            page = pages.get(self.path.split("?", 1)[0])
            self._send(page() if page else _Answer(HTTPStatus.NOT_FOUND, f"Pages: {', '.join(pages)}\n".encode()))

        def _send(self, answer: _Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
            """Say nothing: a scrape every few seconds is no news."""

    return Handler
