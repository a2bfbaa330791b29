"""What services are made of: the search that the settings name, and what is logged where it cannot be had."""

from __future__ import annotations

import sys
from functools import partial
from types import SimpleNamespace

import faiss
import numpy as np
import pytest
from structlog.testing import capture_logs

from deploy import wiring
from deploy.chosen_network import network_of_builds
from deploy.settings import RuntimeSettings, Settings
from deploy.wiring import embedder_of, opened_network, search_of
from softpatch.network import session_pool
from softpatch.network.embed import ProviderUnavailable
from softpatch.network.engines import silently
from softpatch.network.sessions import SessionRefused
from softpatch.network.torch_embed import NotOnDevice, TorchEmbedder
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.search import BruteSearch, FlatSearch
from trainer.build_order import NetworkRun

WITHOUT_GPU = not hasattr(faiss, "StandardGpuResources")
EYE = np.eye(3, dtype=np.float32)


@pytest.mark.skipif(not WITHOUT_GPU, reason="this faiss may find a GPU")
def test_without_a_gpu_the_search_falls_back_with_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` tries FAISS and torch on a GPU first; the log says what answers instead, and why."""
    monkeypatch.setattr("softpatch.scoring.torch_search.DRIVER", "libcuda-that-is-not-there.so.1")
    with capture_logs() as logged:
        search = search_of(RuntimeSettings())
    assert isinstance(search.make(EYE), FlatSearch)
    assert not search.on_device
    assert logged == [
        {
            "event": "search_ready",
            "search": "numpy cpu",
            "faiss": "this faiss is built for the CPU; install patchline[gpu-cu12] for its search",
            "torch": "there is no NVIDIA driver (libcuda-that-is-not-there.so.1)",
            "log_level": "info",
        }
    ]


@pytest.mark.process
def test_a_faiss_that_ends_its_process_leaves_the_search_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's errors end the process that calls FAISS; here that was another one."""
    aborting = (sys.executable, "-c", "import os; os.abort()")
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(wiring, "GPU_SEARCHES", {"faiss": lambda: faiss_on_gpu(aborting)})
    with capture_logs() as logged:
        search = search_of(RuntimeSettings()).make(EYE)
    assert isinstance(search, FlatSearch)
    why = "faiss, tried in a process of its own, ended by SIGABRT: it wrote nothing"
    assert logged == [{"event": "search_ready", "search": "numpy cpu", "faiss": why, "log_level": "info"}]


def test_the_first_search_on_a_gpu_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS, where there is no torch; the log says why not torch. Only torch's takes embeddings on the GPU."""

    def refused() -> type[BruteSearch]:
        raise NoGpu("torch is not installed")

    assert list(wiring.GPU_SEARCHES) == ["torch", "faiss"]
    monkeypatch.setattr(wiring, "GPU_SEARCHES", {"torch": refused, "faiss": lambda: BruteSearch})
    with capture_logs() as logged:
        search = search_of(RuntimeSettings())
    assert isinstance(search.make(EYE), BruteSearch)
    assert not search.on_device
    assert logged[0]["search"] == "faiss gpu, fp16"
    assert logged[0]["torch"] == "torch is not installed"
    monkeypatch.setattr(wiring, "GPU_SEARCHES", {"torch": lambda: BruteSearch})
    assert search_of(RuntimeSettings()).on_device


def tried(runtime: dict[str, str], monkeypatch: pytest.MonkeyPatch, **given: object) -> list[str]:
    """The providers that are asked for, where none of them is there."""
    asked: list[str] = []

    def refused(_graph: object, _features: str, provider: str, *_: object, **__: object) -> None:
        asked.append(provider)
        raise SessionRefused("not here")

    monkeypatch.setattr(session_pool, "proven_session", refused)
    with pytest.raises(ProviderUnavailable):
        embedder_of(RuntimeSettings.model_validate(runtime), **given)  # type: ignore[arg-type] # the keywords of a test
    return asked


def test_only_those_who_wait_for_engines_get_tensorrt_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who scores one picture does not wait for minutes; whose settings name TensorRT does."""
    assert tried({}, monkeypatch) == ["cuda", "cpu"]
    assert tried({}, monkeypatch, compiling=silently, batch_frames=4) == ["tensorrt", "cuda", "cpu"]
    assert tried({"provider": "tensorrt"}, monkeypatch) == ["tensorrt"]
    assert tried({"precision": "fp16"}, monkeypatch) == ["tensorrt", "cuda", "cpu"]


@pytest.mark.parametrize(
    ("runtime", "compile_engines", "run"),
    [
        ({}, False, NetworkRun()),
        ({"provider": "tensorrt", "precision": "fp16"}, False, NetworkRun(provider="cuda")),
        ({"provider": "cpu"}, False, NetworkRun(provider="cpu")),
        (
            {"provider": "tensorrt", "precision": "fp32", "engine_cache": "/var/engines"},
            True,
            NetworkRun(provider="tensorrt", precision="fp32", engine_cache="/var/engines"),
        ),
    ],
)
def test_a_build_compiles_no_engine_unless_told_to(
    runtime: dict[str, str], *, compile_engines: bool, run: NetworkRun
) -> None:
    """It tries several input sizes on 400 frames: each engine would take longer than all of it on CUDA."""
    settings = Settings.model_validate({"runtime": runtime, "trainer": {"compile_engines": compile_engines}})
    assert network_of_builds(settings) == run


@pytest.mark.skipif(not WITHOUT_GPU, reason="this onnxruntime may be built for a GPU, too")
def test_a_cpu_s_runtime_has_refused_no_gpu() -> None:
    """What this ONNX Runtime is not built for is no news on a health page."""
    network = opened_network(RuntimeSettings(threads=1), batch_frames=2, compiling=silently)
    assert (network.embedder.provider, network.refused) == ("cpu", "")


def test_embeddings_stay_on_a_gpu_where_the_network_and_the_search_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they cannot, they are copied as before, and the health page says why."""
    on_gpu = SimpleNamespace(provider="cuda", precision="fp32", tried=())
    monkeypatch.setattr(wiring, "embedder_of", lambda *_, **__: on_gpu)
    monkeypatch.setattr(TorchEmbedder, "proven", lambda embedder: ("on the device", embedder))
    opened = partial(opened_network, RuntimeSettings(), batch_frames=2, compiling=silently)
    assert opened(on_device=False).embedder is on_gpu
    with capture_logs() as logged:
        assert opened(on_device=True) == (("on the device", on_gpu), "")
    assert logged == [{"event": "embeddings_on_device", "provider": "cuda", "log_level": "info"}]

    def refused(_embedder: object) -> None:
        raise NotOnDevice("CUDA failure 2: out of memory")

    monkeypatch.setattr(TorchEmbedder, "proven", refused)
    network = opened(on_device=True)
    assert network.embedder is on_gpu
    assert network.sentence == (
        "The network runs on cuda, fp32 (its embeddings are copied to the host: CUDA failure 2: out of memory)."
    )
    on_gpu.provider = "cpu"
    assert opened(on_device=True) == (on_gpu, "")


def test_the_cpu_can_be_asked_for() -> None:
    """Then no GPU is tried."""
    with capture_logs() as logged:
        search = search_of(RuntimeSettings(provider="cpu")).make(EYE)
    assert isinstance(search, FlatSearch)
    assert logged[0]["gpu"] == "not requested"
