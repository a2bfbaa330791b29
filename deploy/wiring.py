"""From settings to the objects that services are made of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deploy.errors import UsageError
from deploy.process.extras import refuse_both
from inference.network import OpenedNetwork
from ingest.claims import Claims
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.engines import EngineCache, silently
from softpatch.network.graph import lite0, load_graph
from softpatch.network.providers import FrameShapes
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.torch_search import torch_on_gpu
from trainer.build_order import NetworkRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from deploy.settings import RuntimeSettings, Settings
    from softpatch.network.engines import Compiling
    from softpatch.network.graph import Graph
    from softpatch.scoring.search import Search

EMBEDDED = "lite0"
GPU_SEARCHES: Mapping[str, Callable[[], Callable[[np.ndarray], Search]]] = {
    "faiss": faiss_on_gpu,
    "torch": torch_on_gpu,
}
"""Searches on a GPU, the first one that answers is taken."""


def graph_of(runtime: RuntimeSettings) -> Graph:
    """The network that the settings name.

    Raises:
        CommandFailed: two runtimes are installed that would run it.
        UsageError: it is neither built in nor a file.
        InvalidGraph: the file is no network of ours.
    """
    refuse_both()
    if runtime.backbone == EMBEDDED:
        return lite0()
    path = Path(runtime.backbone)
    if not path.is_file():
        raise UsageError(
            f"runtime.backbone {runtime.backbone} is neither {EMBEDDED} nor a file; "
            "python -m softpatch.network.export makes one from any other network"
        )
    return load_graph(path)


def claims_of(settings: Settings) -> Claims:
    """What fetches the pictures that frames claim. Raises UnknownStore."""
    return Claims(settings.claims, clock=time.monotonic)


def embedder_of(
    runtime: RuntimeSettings, *, batch_frames: int | None = None, compiling: Compiling | None = None
) -> OnnxEmbedder:
    """The network, running; the log names the provider.

    `compiling` hears of every engine that TensorRT compiles. Without it, nobody waits for one that did not ask:
    TensorRT is left out, unless the settings name it. `batch_frames`: at once on a GPU, at most (default: 16).

    Raises:
        ProviderUnavailable: no provider runs the network; of every one that was tried, why not.
    """
    graph = graph_of(runtime)
    wanted = compiling is not None or runtime.provider == "tensorrt" or runtime.precision == "fp16"
    embedder = OnnxEmbedder.open(
        graph,
        provider=runtime.provider,
        precision=runtime.precision,
        threads=runtime.threads,
        shapes=None if batch_frames is None else FrameShapes(max_frames=batch_frames),
        engines=EngineCache(Path(runtime.engine_cache), compiling or silently) if wanted else None,
    )
    tried = ", ".join(f"{attempt.provider}: {attempt.outcome}" for attempt in embedder.tried)
    structlog.get_logger().info(
        "network_ready", graph=graph.name, provider=embedder.provider, precision=embedder.precision, tried=tried
    )
    return embedder


def opened_network(runtime: RuntimeSettings, *, batch_frames: int, compiling: Compiling) -> OpenedNetwork:
    """The network of an inspection, and why it does not run on a GPU where this ONNX Runtime is built for one."""
    embedder = embedder_of(runtime, batch_frames=batch_frames, compiling=compiling)
    refused = "; ".join(f"{each.provider}: {each.outcome}" for each in embedder.tried[:-1] if each.built_in)
    return OpenedNetwork(embedder, refused)


def network_of_builds(settings: Settings) -> NetworkRun:
    """On what the trainer's builds run: as the inspection, but on CUDA in place of TensorRT, unless told to."""
    runtime = settings.runtime
    if settings.trainer.compile_engines:
        return NetworkRun(
            provider=runtime.provider,
            precision=runtime.precision,
            engine_cache=str(Path(runtime.engine_cache).absolute()),
        )
    return NetworkRun(provider="cuda" if runtime.provider == "tensorrt" else runtime.provider)


def search_of(runtime: RuntimeSettings) -> Callable[[np.ndarray], Search]:
    """FAISS on a GPU where the provider allows one and it answers, torch there else, FAISS on the CPU else.

    The log names which, and why not those before it.
    """
    log = structlog.get_logger()
    refused: dict[str, str] = {}
    if runtime.provider == "cpu":
        refused["gpu"] = "not requested"
    else:
        for name, on_gpu in GPU_SEARCHES.items():
            try:
                make = on_gpu()
            except NoGpu as reason:
                refused[name] = str(reason)
            else:
                log.info("search_ready", search=f"{name} gpu, fp16", **refused)
                return make
    log.info("search_ready", search="faiss cpu", **refused)
    return lambda vectors: FlatSearch(vectors, threads=runtime.threads)
