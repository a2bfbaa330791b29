"""What runs in a build's own process: `python -m trainer.build_child ORDER_FILE PARENT_PID`.

It lowers its priority, dies with its parent, and reports its progress to its parent by lines on stdout.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, overload

from ingest.parent_process import ParentGone, die_with_parent
from trainer.build_order import BuildAnswer, BuildFailed, BuildFinished, BuildOrder, BuildStep, line_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.store import Store
    from softpatch.gate.measures import GateMeasures


def main(order_file: str, parent_pid: str) -> int:
    """Carry out the order; 0 where the bank was written. Every failure becomes one sentence for the parent."""
    try:
        die_with_parent(signal.SIGKILL, parent_pid=int(parent_pid))
    except ParentGone:
        sys.exit("the trainer that started this build is gone")
    answers = _take_stdout()
    order = BuildOrder.model_validate_json(Path(order_file).read_bytes())
    os.nice(order.niceness)
    steps = Steps(answers)
    try:
        measures = _build(order, steps)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the view's history names it
        steps.send(BuildFailed(failed=sentence(error)))
        return 1
    steps.send(steps.finished(measures))
    return 0


def sentence(error: Exception) -> str:
    """An error as one line; errors that our own code names speak for themselves."""
    text = " ".join(str(error).split())
    if text and isinstance(error, ValueError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class Steps:
    """Reports the progress of a build to the parent, and measures its stages."""

    def __init__(self, answers: BinaryIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._answers = answers
        self._clock = clock
        self._began: list[tuple[str, float]] = []

    def step(self, stage: str, done: int, total: int) -> None:
        """Take one step of the build; softpatch calls it."""
        if not self._began or self._began[-1][0] != stage:
            self._began.append((stage, self._clock()))
        self.send(BuildStep(stage=stage, done=done, total=total))

    def send(self, answer: BuildAnswer) -> None:
        """Send one line."""
        self._answers.write(line_of(answer))
        self._answers.flush()

    def finished(self, measures: GateMeasures | None = None) -> BuildFinished:
        """The stages with their seconds; a stage that came more than once counts all its times."""
        ends = [at for _, at in self._began[1:]] + [self._clock()]
        seconds: dict[str, float] = {}
        for (stage, began), end in zip(self._began, ends, strict=True):
            seconds[stage] = seconds.get(stage, 0.0) + end - began
        return BuildFinished(stage_seconds=seconds, measures=measures)


class StoredFrames(Sequence[bytes]):
    """The window's frames, each read when it is needed: a window may be larger than memory."""

    def __init__(self, store: Store, paths: Sequence[str]) -> None:
        self._store = store
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, place: int) -> bytes: ...
    @overload
    def __getitem__(self, place: slice) -> StoredFrames: ...
    def __getitem__(self, place: int | slice) -> bytes | StoredFrames:
        if isinstance(place, slice):
            return StoredFrames(self._store, self._paths[place])
        return self._store.get(self._paths[place])


def _build(order: BuildOrder, steps: Steps) -> GateMeasures | None:
    # Imported here, after the process has lowered its priority: loading these takes seconds of CPU.
    from ingest.store import FsspecStore  # noqa: PLC0415
    from softpatch.bank import bank_to_bytes  # noqa: PLC0415
    from softpatch.building.build import build_and_examine  # noqa: PLC0415
    from softpatch.building.input_cost import Pace  # noqa: PLC0415
    from softpatch.network.embed import OnnxEmbedder  # noqa: PLC0415
    from softpatch.network.engines import EngineCache  # noqa: PLC0415
    from softpatch.network.graph import load_graph  # noqa: PLC0415
    from softpatch.network.providers import FrameShapes  # noqa: PLC0415
    from trainer.labelled_frames import labelled_frames  # noqa: PLC0415
    from trainer.machine_clock import machine_clock  # noqa: PLC0415
    from trainer.prior_banks import prior_banks, provenance_of, stored_bank  # noqa: PLC0415

    geometry = order.settings.measured_geometry
    shapes = FrameShapes(geometry.height_px, geometry.width_px)
    graph = load_graph(Path(order.graph))
    embedder = OnnxEmbedder.open(
        graph,
        provider=order.network.provider,
        precision=order.network.precision,
        threads=order.threads,
        shapes=shapes,
        engines=None if order.network.engine_cache is None else EngineCache(Path(order.network.engine_cache)),
    )
    store = FsspecStore.open(order.store_url)
    parent = stored_bank(store, order.view, order.parent)
    before = prior_banks(store, order, parent)
    bank, measures = build_and_examine(
        StoredFrames(store, order.frames),
        embedder,
        order.settings,
        view=order.view,
        frame_names=list(order.frame_names),
        labels=labelled_frames(store, order.annotations),
        created_at=order.created_at,
        graph_name=graph.name,
        provenance=provenance_of(order, before),
        parent=order.parent,
        earlier=None if parent is None else parent.manifest,
        before=before,
        pace=Pace(order.frames_per_second, machine_clock(embedder.provider)),
        progress=steps.step,
        threads=order.threads,
        max_pixels=order.max_pixels,
    )
    steps.step("write", 0, 1)
    beside = Path(order.result).with_suffix(".part")
    beside.write_bytes(bank_to_bytes(bank))
    beside.replace(order.result)
    return None if order.gate is None else measures


def _take_stdout() -> BinaryIO:
    """The pipe to the parent; what libraries print goes to stderr, where it is taken for no answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    atexit.register(gc.freeze)  # as deploy.cli: the interpreter would walk all that was imported once more
    sys.exit(main(*sys.argv[1:]))
