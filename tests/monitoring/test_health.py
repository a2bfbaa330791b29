"""The health server, asked over real HTTP."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, Counter

from monitoring.health import HealthServer, Heartbeat, PortInUse, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now


READY = Readiness(ready=True, sentence="Ready: 2 views.")


def serve(heartbeat: Heartbeat, *, ready: Callable[[], Readiness] = lambda: READY, port: int = 0) -> HealthServer:
    """A running server with one metric."""
    registry = CollectorRegistry()
    Counter("patchline_test_total", "Counted.", registry=registry).inc(3)
    return HealthServer(registry=registry, heartbeat=heartbeat, ready=ready, port=port)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until it is moved."""
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[HealthServer]:
    """A service that is well."""
    with serve(Heartbeat(limit_seconds=5, clock=clock)) as running:
        yield running


def get(server: HealthServer, path: str) -> tuple[int, str]:
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_those_of_the_given_registry(server: HealthServer) -> None:
    """The page is the registry in Prometheus' text format, and nothing global."""
    status, text = get(server, "/metrics")
    assert status == 200
    lines = [line for line in text.splitlines() if not line.startswith("#") and "_created" not in line]
    assert lines == ["patchline_test_total 3.0"]


def test_a_loop_that_beats_is_alive_and_one_that_hangs_is_not(clock: Clock) -> None:
    """Five seconds of silence are allowed, a little more is not, and a beat brings it back."""
    heartbeat = Heartbeat(limit_seconds=5, clock=clock)
    heartbeat.beat()
    with serve(heartbeat) as server:
        clock.now += 5
        assert get(server, "/healthz") == (200, "Alive: the loop went round 5.0 s ago.\n")
        clock.now += 0.5
        sentence = "Not alive: the loop last went round 5.5 s ago, 5 s are allowed.\n"
        assert get(server, "/healthz") == (503, sentence)
        assert not heartbeat.alive
        heartbeat.beat()
        assert get(server, "/healthz")[0] == 200


def test_a_process_that_still_waits_for_its_broker_is_alive(clock: Clock) -> None:
    """A trainer that waited longer than its limit was restarted for it, and waited anew."""
    heartbeat = Heartbeat(limit_seconds=5, clock=clock)
    clock.now += 3600
    assert heartbeat.alive


def test_readiness_is_asked_every_time_and_says_why_not(clock: Clock) -> None:
    """One sentence, 503 while it is a reason, 200 once it is none."""
    answers = [Readiness(ready=False, sentence="Not ready: the probes of line-1/top are being replayed."), READY]
    with serve(Heartbeat(limit_seconds=5, clock=clock), ready=lambda: answers.pop(0)) as server:
        assert get(server, "/readyz") == (503, "Not ready: the probes of line-1/top are being replayed.\n")
        assert get(server, "/readyz") == (200, "Ready: 2 views.\n")


def test_a_readiness_that_fails_is_not_ready(clock: Clock) -> None:
    """An error in the callable answers 503 with its text; the connection is not just dropped."""

    def fails() -> Readiness:
        raise RuntimeError("no consumer")

    with serve(Heartbeat(limit_seconds=5, clock=clock), ready=fails) as server:
        assert get(server, "/readyz") == (503, "Not ready: asking failed with RuntimeError: no consumer\n")


def test_an_unknown_page_names_those_that_exist(server: HealthServer) -> None:
    """A mistyped path is told what there is."""
    assert get(server, "/health") == (404, "Pages: /metrics, /healthz, /readyz\n")


def test_a_query_does_not_hide_the_page(server: HealthServer) -> None:
    """Probes and scrapers may add one."""
    assert get(server, "/healthz?verbose=1")[0] == 200


def test_a_port_in_use_is_one_sentence(server: HealthServer, clock: Clock) -> None:
    """It names host and port and says what to do."""
    heartbeat = Heartbeat(limit_seconds=5, clock=clock)
    with pytest.raises(PortInUse) as raised:
        serve(heartbeat, port=server.port)
    text = f"port {server.port} on 127.0.0.1 is in use: stop what listens there, or set another metrics port"
    assert str(raised.value) == text


@pytest.mark.slow
def test_a_closed_server_frees_its_port(clock: Clock) -> None:
    """The next service can listen there at once."""
    heartbeat = Heartbeat(limit_seconds=5, clock=clock)
    first = serve(heartbeat)
    port = first.port
    first.close()
    with serve(heartbeat, port=port) as second:
        assert get(second, "/healthz")[0] == 200


def test_a_service_whose_loop_hangs_is_not_ready(clock: Clock) -> None:
    """What it says of itself is what it last knew: its loop would have to go round to know better."""
    heartbeat = Heartbeat(limit_seconds=5, clock=clock)
    heartbeat.beat()
    with serve(heartbeat) as hanging:
        clock.now += 6
        assert get(hanging, "/readyz") == (503, "Not ready: the loop last went round 6.0 s ago.\n")
        heartbeat.beat()
        assert get(hanging, "/readyz") == (200, "Ready: 2 views.\n")
