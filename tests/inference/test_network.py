"""The network opens while the pages answer, and they say what TensorRT is compiling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from inference.network import EnginesCompiling, OpenedNetwork, opened_beside
from inference.wiring import ServiceProgress
from softpatch.network.engines import Engine
from softpatch.network.providers import FrameShapes

if TYPE_CHECKING:
    from softpatch.network.embed import OnnxEmbedder
    from softpatch.network.engines import Compiling

ENGINE = Engine("0" * 64, "wide", FrameShapes(448, 320, 16), "fp16")
WORDS = "wide of 320x448 px, up to 16 frames, fp16"


def test_what_is_compiled_is_said_from_beginning_to_end() -> None:
    """On the page with the time it has taken so far, in the log with the time it took."""
    moments = [100.0]
    engines = EnginesCompiling(lambda: moments[0])
    with capture_logs() as logged, engines.compiling(ENGINE):
        moments[0] += 42.4
        assert engines.sentence == f"TensorRT is compiling an engine: {WORDS}, for 42 s."
    assert engines.sentence == ""
    assert [(each["event"], each.get("seconds")) for each in logged] == [
        ("engine_compiling", None),
        ("engine_compiled", 42.4),
    ]


def test_one_that_is_not_compiled_is_an_error_with_its_cause() -> None:
    """And is being compiled no more."""
    engines = EnginesCompiling(lambda: 0.0)
    with capture_logs() as logged, pytest.raises(RuntimeError), engines.compiling(ENGINE):
        raise RuntimeError("out of memory")
    assert engines.sentence == ""
    assert logged[-1] == {
        "event": "engine_not_compiled",
        "engine": WORDS,
        "cause": "out of memory",
        "log_level": "error",
    }


def test_readiness_follows_the_start(embedder: OnnxEmbedder) -> None:
    """While the network opens it names the engine; later frames are decided, and an engine may be compiled beside."""
    progress, opening, go_on = ServiceProgress(EnginesCompiling(lambda: 7.0)), Event(), Event()
    network = OpenedNetwork(embedder, "cuda: no driver")

    def open_network(compiling: Compiling) -> OpenedNetwork:
        with compiling(ENGINE):
            opening.set()
            go_on.wait(10)
        return network

    with ThreadPoolExecutor(1) as serving:
        opened = serving.submit(opened_beside, open_network, progress.engines.compiling, Event())
        assert opening.wait(10)
        said = progress.readiness()
        go_on.set()
        progress.network = opened.result(10)
    assert (said.ready, said.sentence) == (
        False,
        f"Not ready: the network is being opened. TensorRT is compiling an engine: {WORDS}, for 0 s.",
    )
    assert progress.network is network
    progress.follow(banks_ready := Event(), SimpleNamespace(store_fault=None, unfetched=[]))  # type: ignore[arg-type]
    assert progress.readiness().sentence == "Not ready: the banks in force are being loaded and proven."
    banks_ready.set()
    assert progress.readiness().sentence == "Not ready: joining the consumer group."


def test_a_network_that_cannot_be_opened_ends_the_service() -> None:
    """With its own error."""

    def open_network(_: Compiling) -> OpenedNetwork:
        raise FileNotFoundError("backbone.onnx")

    with pytest.raises(FileNotFoundError, match="backbone"):
        opened_beside(open_network, EnginesCompiling(lambda: 0.0).compiling, Event())


def test_a_service_that_is_stopped_does_not_wait_for_an_engine() -> None:
    """It takes minutes, and nothing was promised yet."""
    stop, go_on = Event(), Event()
    stop.set()

    def open_network(_: Compiling) -> OpenedNetwork:
        go_on.wait(10)
        raise RuntimeError("too late")

    assert opened_beside(open_network, EnginesCompiling(lambda: 0.0).compiling, stop) is None
    go_on.set()


def test_a_gpu_that_was_refused_is_named(embedder: OnnxEmbedder) -> None:
    """A person who bought one sees it; without one there is nothing to say."""
    said = "The network runs on cpu, fp32 (tensorrt: no driver)."
    assert OpenedNetwork(embedder, "tensorrt: no driver").sentence == said
    assert OpenedNetwork(embedder, "").sentence == ""
