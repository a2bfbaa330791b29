"""From settings to the objects that services are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from deploy.chosen_network import graph_of
from inference.network import OpenedNetwork
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.engines import EngineCache, silently
from softpatch.network.providers import FrameShapes
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.torch_search import torch_on_gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from deploy.settings import RuntimeSettings
    from softpatch.network.engines import Compiling
    from softpatch.scoring.search import Search

GPU_SEARCHES: Mapping[str, Callable[[], Callable[[np.ndarray], Search]]] = {
    "faiss": faiss_on_gpu,
    "torch": torch_on_gpu,
}
"""Searches on a GPU, the first one that answers is taken."""


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
