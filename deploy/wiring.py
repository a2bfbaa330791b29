"""From settings to the objects that services are made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import structlog

from deploy.chosen_network import graph_of
from inference.network import OpenedNetwork
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.engines import EngineCache, silently
from softpatch.network.providers import FrameShapes
from softpatch.network.torch_embed import NotOnDevice, TorchEmbedder
from softpatch.scoring.bounded_search import cpu_search
from softpatch.scoring.gpu_search import NoGpu, faiss_on_gpu
from softpatch.scoring.torch_search import torch_on_gpu

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from deploy.settings import RuntimeSettings
    from softpatch.network.engines import Compiling
    from softpatch.scoring.search import Search

GPU_SEARCHES: Mapping[str, Callable[[], Callable[[np.ndarray], Search]]] = {
    "torch": torch_on_gpu,
    "faiss": faiss_on_gpu,
}
"""Searches on a GPU, the first one that answers is taken: torch's reads embeddings where the network has put them."""


class ChosenSearch(NamedTuple):
    """What makes the search over a bank's vectors, and whether it takes embeddings that stayed on the GPU."""

    make: Callable[[np.ndarray], Search]
    on_device: bool


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


def opened_network(
    runtime: RuntimeSettings, *, batch_frames: int, compiling: Compiling, on_device: bool = False
) -> OpenedNetwork:
    """The network of an inspection, and why it does not run on a GPU where this ONNX Runtime is built for one.

    `on_device`: its embeddings stay on the GPU, where it runs there; the log says whether they do.
    """
    embedder = embedder_of(runtime, batch_frames=batch_frames, compiling=compiling)
    refused = "; ".join(f"{each.provider}: {each.outcome}" for each in embedder.tried[:-1] if each.built_in)
    if not on_device or embedder.provider == "cpu":
        return OpenedNetwork(embedder, refused)
    log = structlog.get_logger()
    try:
        resident = TorchEmbedder.proven(embedder)
    except NotOnDevice as reason:
        log.warning("embeddings_copied", cause=str(reason))
        return OpenedNetwork(embedder, f"its embeddings are copied to the host: {reason}")
    log.info("embeddings_on_device", provider=embedder.provider)
    return OpenedNetwork(resident, refused)


def search_of(runtime: RuntimeSettings) -> ChosenSearch:
    """Torch on a GPU where the provider allows one and it answers, FAISS there else, NumPy on the CPU else.

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
                return ChosenSearch(make, on_device=name == "torch")
    log.info("search_ready", search="numpy cpu", **refused)
    return ChosenSearch(lambda vectors: cpu_search(vectors, threads=runtime.threads), on_device=False)
