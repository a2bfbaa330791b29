"""`patchline bench`: how fast this machine is, and what of."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from deploy.bench.frames import drawn_frames
from deploy.bench.in_process import in_process, state_of
from deploy.bench.machine import machine
from deploy.bench.stream import Stream, build_order, put_in_force, stack_options
from deploy.chosen_network import graph_of
from deploy.local_stack.outcomes import OutcomeReader
from deploy.local_stack.running import LocalStack
from deploy.offline.build_folder import build_from_bytes
from deploy.output.build_progress import BuildStages
from deploy.wiring import embedder_of
from ingest.store import FsspecStore
from ingest.store_layout import bank_path
from softpatch.bank import bank_version
from softpatch.network.engines import silently
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deploy.output.progress import ProgressDisplay
    from deploy.settings import Settings
    from ingest.cameras.source import CameraFrame
    from softpatch.bank import Bank

VIEW = "bench/camera-1"
BUILD_FRAMES = 400


@dataclass(frozen=True)
class Bench:
    """The options of a bench."""

    folder: Path
    frames: int
    rate_per_second: float
    seed: int
    with_build: bool
    flags: Sequence[str] = ()
    bootstrap: str | None = None
    topic_prefix: str = ""


def run_bench(bench: Bench, progress: ProgressDisplay) -> dict[str, object]:
    """Measure everything once; the JSON document.

    Raises CommandFailed where a step did not happen in time.
    """
    measured_on = machine()
    with progress.step("Drawing 400 frames of 512 px"):
        frames = drawn_frames(bench.seed, BUILD_FRAMES)
    with progress.step("Starting broker and topics"):
        line = LocalStack.start(stack_options(bench.folder, VIEW, bench.flags, bench.bootstrap, bench.topic_prefix))
    with line:
        built = _built(line, frames, bench.rate_per_second, progress)
        store = FsspecStore.open(line.settings.store.url)
        store.put(bank_path(VIEW, built.version), built.file)
        state = state_of(built.bank, built.version, bank_path(VIEW, built.version))
        embedder = embedder_of(
            line.settings.runtime, batch_frames=line.settings.inference.batch_frames, compiling=silently
        )
        with progress.step("In process"):
            encoded = [frame.encoded for frame in frames]
            alone = in_process(encoded, state, built.bank, settings=line.settings, store=store, embedder=embedder)
        with progress.step("Starting the inspection"):
            put_in_force(line, state)
        streamed = _streamed(line, frames, bench, progress)
    return {
        "machine": measured_on,
        "threads": _threads(line.settings),
        "provider": embedder.provider,
        "precision": embedder.precision,
        "broker": bench.bootstrap or "embedded",
        **built.facts(),
        "build_frames": len(frames),
        "build_seconds": built.seconds,
        "in_process": asdict(alone),
        **streamed,
    }


@dataclass(frozen=True, eq=False)
class _Built:
    """The bank of a bench, and the seconds of its build."""

    bank: Bank
    file: bytes
    seconds: float

    @property
    def version(self) -> str:
        return bank_version(self.file)

    def facts(self) -> dict[str, object]:
        geometry = self.bank.manifest.geometry
        return {
            "input_px": [geometry.width_px, geometry.height_px],
            "bank_patches": len(self.bank.vectors),
            "bank_dimension": self.bank.manifest.dimension,
        }


def _built(
    line: LocalStack, frames: Sequence[CameraFrame], rate_per_second: float, progress: ProgressDisplay
) -> _Built:
    begun = time.monotonic()
    encoded, names = [frame.encoded for frame in frames], [frame.source for frame in frames]
    with BuildStages(progress) as stages:
        bank, data = build_from_bytes(
            encoded,
            names,
            line.settings,
            view=VIEW,
            at=datetime.now(UTC),
            progress=stages.report,
            frames_per_second=rate_per_second,
        )
    return _Built(bank, data, time.monotonic() - begun)


def _threads(settings: Settings) -> dict[str, int]:
    return {
        "network_and_search": settings.runtime.threads or available_cores(),
        "decode": settings.inference.decode_threads,
        "build_beside": settings.trainer.build_threads,
    }


def _streamed(
    line: LocalStack, frames: Sequence[CameraFrame], bench: Bench, progress: ProgressDisplay
) -> dict[str, object]:
    with OutcomeReader(line.settings.kafka) as outcomes:
        gc.freeze()  # or the collector walks all that the build left: 150 to 220 ms, in which nobody sends or looks
        stream = Stream(line, VIEW, frames, outcomes)
        with progress.step("Through the broker, full speed"):
            frames_per_second = stream.frames_per_second(bench.frames)
        with progress.step(f"Through the broker, {bench.rate_per_second:g} a second"):
            quiet = stream.latency(bench.frames, bench.rate_per_second)
        measured: dict[str, object] = {
            "stream": {"frames": bench.frames, "frames_per_second": frames_per_second},
            "latency": asdict(quiet),
        }
        if bench.with_build:
            with progress.step("The same beside a build"):
                order = build_order(line, VIEW, frames, graph_of(line.settings.runtime))
                busy, seconds = stream.latency_during(order, bench.rate_per_second)
            measured["latency_with_build"] = asdict(busy) | {"build_seconds": seconds}
    return measured
