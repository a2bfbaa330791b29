"""From settings to the objects that services are made of."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog

from deploy.errors import UsageError
from deploy.process.extras import refuse_both
from ingest.claims import Claims
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0, load_graph
from softpatch.scoring.gpu_search import GpuFlatSearch
from softpatch.scoring.search import FlatSearch

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.settings import RuntimeSettings, Settings
    from softpatch.network.graph import Graph
    from softpatch.scoring.search import Search

EMBEDDED = "lite0"


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


def embedder_of(runtime: RuntimeSettings) -> OnnxEmbedder:
    """The network, running; the log names the provider. Raises ProviderUnavailable."""
    graph = graph_of(runtime)
    embedder = OnnxEmbedder.open(graph, provider=runtime.provider, threads=runtime.threads)
    tried = ", ".join(f"{attempt.provider}: {attempt.outcome}" for attempt in embedder.tried)
    structlog.get_logger().info("network_ready", graph=graph.name, provider=embedder.provider, tried=tried)
    return embedder


def search_of(runtime: RuntimeSettings) -> Callable[[np.ndarray], Search]:
    """FAISS on a GPU where the provider allows one and it answers, else on the CPU; the log names which, and why."""
    tried = "not requested"
    if runtime.provider != "cpu":
        try:
            GpuFlatSearch(np.zeros((1, 1), np.float32)).nearest(np.zeros((1, 1), np.float32))
        except RuntimeError as error:  # NoGpu, or whatever CUDA raises
            tried = str(error)
        else:
            structlog.get_logger().info("search_ready", search="faiss gpu, fp16")
            return GpuFlatSearch
    structlog.get_logger().info("search_ready", search="faiss cpu", gpu=tried)
    return lambda vectors: FlatSearch(vectors, threads=runtime.threads)
