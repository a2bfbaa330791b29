"""Which network the settings name, and on what a trainer's builds run it: neither needs a runtime to be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import UsageError
from deploy.process.extras import refuse_both
from softpatch.network.graph import EMBEDDED, embedded, load_graph
from trainer.build_order import NetworkRun

if TYPE_CHECKING:
    from deploy.settings import RuntimeSettings, Settings
    from softpatch.network.graph import Graph


def graph_of(runtime: RuntimeSettings) -> Graph:
    """The network that the settings name.

    Raises:
        CommandFailed: two runtimes are installed that would run it.
        UsageError: it is neither built in nor a file.
        InvalidGraph: the file is no network of ours.
    """
    refuse_both()
    if runtime.backbone in EMBEDDED:
        return embedded(runtime.backbone)
    path = Path(runtime.backbone)
    if not path.is_file():
        raise UsageError(
            f"runtime.backbone {runtime.backbone} is neither {' nor '.join(EMBEDDED)} nor a file; "
            "python -m softpatch.network.export makes one from any other network"
        )
    return load_graph(path)


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
