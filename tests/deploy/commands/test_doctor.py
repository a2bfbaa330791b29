"""`patchline doctor`: on a plant that is well, and on one where everything is wrong."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from deploy.health_checks import clock_is_right, network_runs, ports_are_ours, runs_on
from deploy.settings import Settings
from softpatch.network.embed import Attempt, OnnxEmbedder
from softpatch.network.graph import lite0
from tests.brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command_line import Run
    from tests.deploy.command_cluster import CommandCluster

PORTS = ("inference", "trainer", "watch", "record", "up")


def on_free_ports() -> tuple[str, ...]:
    """Flags that give every service a port of its own."""
    return tuple(text for name in PORTS for text in ("--set", f"{name}.metrics_port={free_port()}"))


@pytest.mark.embedded
@pytest.mark.slow
def test_a_plant_that_is_well(run: Run, cluster: CommandCluster, tmp_path: Path) -> None:
    """Nothing is wrong, and nothing is left behind; the clock is unknown before anything has run."""
    report = tmp_path / "doctor.json"
    ended = run("doctor", "--json", str(report), *on_free_ports(), *cluster.arguments)
    found = {each["check"]: each["verdict"] for each in json.loads(report.read_text())["findings"]}
    wrong = {check: verdict for check, verdict in found.items() if verdict == "wrong"}
    assert wrong.keys() <= {"rights to write"}, ended.out  # the embedded broker promises nothing of transactions
    assert found["broker"] == found["store"] == found["network"] == found["rights to read"] == "well"
    assert found["clock"] == "warning"
    assert cluster.store.paths("doctor") == []


@pytest.mark.slow
def test_a_plant_where_nothing_is_there(run: Run, tmp_path: Path) -> None:
    """Each line says what to do, and the exit code is 1; without a broker nothing else is asked of one."""
    (tmp_path / "file").write_text("")
    flags = {
        "kafka.bootstrap_servers": f"'127.0.0.1:{free_port()}'",
        "store.url": f"'{tmp_path / 'file' / 'store'}'",
        "runtime.backbone": "none.onnx",
    }
    arguments = [text for name, value in flags.items() for text in ("--set", f"{name}={value}")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run("doctor", *on_free_ports(), "--set", f"up.metrics_port={port}", *arguments)
    assert ended.code == 1
    assert "rights to" not in ended.out
    for words in ("start one, or set kafka.bootstrap_servers", "store's address and rights", "set runtime.provider"):
        assert words in ended.out
    assert f"{port} is taken by another program" in ended.out
    assert "checks found something wrong" in ended.err


class Inspection(BaseHTTPRequestHandler):
    """An inspection that is not ready, on a machine whose clock is wrong."""

    def do_GET(self) -> None:
        """Its two pages."""
        ready = self.path == "/readyz"
        self.send_response(503 if ready else 200)
        self.end_headers()
        self.wfile.write(b"Not ready: joining.\n" if ready else b"patchline_clock_skew_seconds -12.5\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where it answers."""
    with HTTPServer(("127.0.0.1", 0), Inspection) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_running_inspection_is_asked_for_what_it_knows(port: int) -> None:
    """Whether it is ready, and how wrong this machine's clock is."""
    settings = Settings.model_validate({"inference": {"metrics_port": port}})
    ours = next(each for each in ports_are_ours(settings) if each.check == "port of inspect")
    assert (ours.verdict, ours.sentence) == ("warning", f"{port}: Not ready: joining.")
    assert clock_is_right(settings).sentence.startswith("it is -12.5 s off the broker's")


def test_a_driver_that_fails_in_its_own_way_is_a_finding() -> None:
    """Not the end of the command."""

    def broken() -> str:
        raise RuntimeError("CUDA error 999")

    assert network_runs(broken).verdict == "wrong"


def test_the_network_line_says_why_it_is_not_on_a_gpu() -> None:
    """The reasons of what was tried before, the missing libraries among them."""
    tried = (Attempt("tensorrt", "could not load it; not loaded: libnvinfer.so.10"), Attempt("cpu", "runs"))
    embedder = replace(OnnxEmbedder.open(lite0(), provider="cpu", threads=1), tried=tried)
    said = "cpu, fp32 (tensorrt: could not load it; not loaded: libnvinfer.so.10)"
    assert network_runs(lambda: runs_on(embedder)).sentence == f"it runs on {said}"
    assert runs_on(replace(embedder, tried=tried[1:])) == "cpu, fp32"
