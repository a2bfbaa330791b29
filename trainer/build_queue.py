"""Which view builds next, and the one build that runs: its order, its end, its being stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from ingest.store_layout import frame_path
from trainer.build_order import AnnotationOrder, BuildOrder, GateOrder
from trainer.build_process import BuildProcess
from trainer.frame_rate import frames_per_second
from trainer.threshold_settings import build_settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from ingest.annotation import FrameAnnotation
    from softpatch.settings import BuildSettings
    from trainer.build_order import BuildAnswer, NetworkRun
    from trainer.owned_views import OwnedView
    from trainer.settings import TrainerSettings
    from trainer.transition import Initiator
    from trainer.window import KeptFrame, LastBuild

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class BuildEnvironment:
    """What every build of this process works with."""

    graph_file: Path
    """The ONNX graph, as a file the build can read."""
    network: NetworkRun
    store_url: str
    max_pixels: int
    """Of a frame that is learnt from."""
    folder: Path
    """On this machine, for results on their way to the store; empty at the start."""


@dataclass(frozen=True)
class Job:
    """A build under way. As it began: `seen` frames of the view, the newest of `newest_ms`, after `before`."""

    view: str
    initiator: Initiator
    seen: int
    newest_ms: int
    before: LastBuild | None
    window_full: bool
    settings: BuildSettings
    process: BuildProcess


class BuildQueue:
    """Runs builds one at a time: a second one would only take the cores from the first, and from scoring."""

    def __init__(
        self,
        environment: BuildEnvironment,
        settings: TrainerSettings,
        *,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        start: Callable[..., BuildProcess] = BuildProcess,
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._clock = clock
        self._now = now
        self._start = start
        self._began: dict[str, float] = {}
        self.running: Job | None = None

    def start(self, view: OwnedView, initiator: Initiator) -> Job:
        """Start the build of a view's window as it is. Raises OSError where no process can be started."""
        order = order_for(view, initiator, self._environment, self._settings, created_at=self._now())
        process = self._start(
            order,
            timeout_seconds=self._settings.build_timeout_seconds,
            memory_bytes=self._settings.build_memory_bytes,
            clock=self._clock,
        )
        full = view.index.full(view.bounds)
        index = view.index
        self.running = Job(
            view=view.name,
            initiator=initiator,
            seen=index.seen,
            newest_ms=index.newest_ms,
            before=index.last_build,
            window_full=full,
            settings=order.settings,
            process=process,
        )
        self._began[view.name] = self._clock()
        log.info("build_started", view=view.name, frames=len(order.frames), why=initiator.why, pid=process.pid)
        return self.running

    def poll(self) -> BuildAnswer | None:
        """How the running build is doing; None where none runs or it has not reported yet."""
        return None if self.running is None else self.running.process.poll()

    def stop(self, view: str) -> Job | None:
        """Stop the running build if it is this view's; returns what was stopped."""
        job = self.running
        if job is None or job.view != view:
            return None
        self.clear()
        log.info("build_stopped", view=view, why=job.initiator.why)
        return job

    def clear(self) -> None:
        """End the running build, however it stands, and remove its files."""
        if self.running is not None:
            self.running.process.kill()
            for left in self._environment.folder.glob(f"{Path(self.running.process.order.result).stem}.*"):
                left.unlink(missing_ok=True)
            self.running = None

    def reads(self, view: str) -> bool:
        """Whether the running build reads this view's frames."""
        return self.running is not None and self.running.view == view

    def next_of(self, due: Iterable[tuple[OwnedView, Initiator]]) -> tuple[OwnedView, Initiator] | None:
        """Whose turn it is: what is urgent, then what a person requested, then whose last build began longest ago."""
        return min(due, key=self._turn, default=None)

    def _turn(self, due: tuple[OwnedView, Initiator]) -> tuple[bool, bool, float, str]:
        view, initiator = due
        began = self._began.get(view.name, float("-inf"))
        return (not initiator.urgent, initiator.command_id is None, began, view.name)


def order_for(
    view: OwnedView,
    initiator: Initiator,
    environment: BuildEnvironment,
    settings: TrainerSettings,
    *,
    created_at: datetime,
) -> BuildOrder:
    """The build of a view's window as it is."""
    frames, active = view.index.frames, view.state.active
    return BuildOrder(
        view=view.name,
        store_url=environment.store_url,
        frames=tuple(frame_path(view.name, frame.partition, frame.offset, frame.topic) for frame in frames),
        frame_names=tuple(frame.frame_id for frame in frames),
        graph=str(environment.graph_file),
        network=environment.network,
        threads=settings.build_threads,
        niceness=settings.build_niceness,
        annotations=tuple(_annotation_order(each) for each in view.state.annotations),
        settings=build_settings_of(view.state, view.training),
        created_at=created_at.isoformat(timespec="milliseconds"),
        provenance={
            "topic": view.index.topic,
            "frames": {frame.frame_id: _place(frame) for frame in frames},
            "seen": view.index.seen,
            "stride": view.index.stride,
            "window_full": view.index.full(view.bounds),
            "training": view.training.facts,
            "who": initiator.who,
            "why": initiator.why,
            "annotations": {each.id: each.label.value for each in view.state.annotations},
        },
        parent=active.version if active else None,
        frames_per_second=frames_per_second(frames),
        gate=_gate_order(view),
        max_pixels=environment.max_pixels,
        result=str(environment.folder / f"{view.state.epoch}-{view.index.seen}.safetensors"),
    )


def _place(frame: KeptFrame) -> list[int | str]:
    """As `ingest.contract.SourceRecord.from_provenance` reads it."""
    return [frame.partition, frame.offset, *([] if frame.topic is None else [frame.topic])]


def _gate_order(view: OwnedView) -> GateOrder | None:
    gate, active, previous = view.training.gate, view.state.active, view.state.previous
    if not gate.enabled:
        return None
    return GateOrder(
        parent_threshold=active.threshold if active else None,
        previous=previous.version if previous else None,
        previous_threshold=previous.threshold if previous else None,
        reference=view.state.pinned if gate.anchored_drift is not None else None,
        quarantine_frames=gate.quarantine_frames,
    )


def _annotation_order(annotation: FrameAnnotation) -> AnnotationOrder:
    return AnnotationOrder(
        id=annotation.id,
        label=annotation.label.value,
        origin=annotation.origin,
        box_xyxy=annotation.box_xyxy,
        frames=tuple(exemplar.path for exemplar in annotation.exemplars),
    )
