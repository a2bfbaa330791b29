"""The bench through a broker: frames in by a camera, committed decisions out to a read_committed reader."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from deploy.chosen_network import network_of_builds
from deploy.errors import CommandFailed
from deploy.local_stack.running import LocalStack, StackOptions
from deploy.local_stack.sending import SentFrame, send_all
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from trainer.build_order import BuildFailed, BuildFinished, BuildOrder
from trainer.build_process import BuildProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deploy.local_stack.outcomes import OutcomeReader
    from ingest.bank_state import BankState
    from ingest.cameras.source import CameraFrame
    from softpatch.network.graph import Graph

READY_SECONDS, DECIDE_SECONDS, BUILD_SECONDS = 90.0, 300.0, 900.0
NO_DEADLINE_SECONDS = 3600.0
WARM_UP_FRAMES = 64


@dataclass(frozen=True)
class Latency:
    """From a camera's send to its committed decision being seen, at a steady rate."""

    frames: int
    rate_per_second: float
    p50_seconds: float
    p99_seconds: float
    worst_seconds: float


def stack_options(folder: Path, view: str, flags: Sequence[str], bootstrap: str | None, prefix: str) -> StackOptions:
    """A line whose frames never miss their deadline: a bench measures speed, not lateness."""
    over = {"views": {view: {"deadline_seconds": NO_DEADLINE_SECONDS}}}
    return StackOptions(folder, flags, bootstrap, prefix, over)


def put_in_force(line: LocalStack, state: BankState) -> None:
    """Publish a bank state as the trainer would, start the inspection, and wait until it decides by the bank."""
    kafka = line.settings.kafka
    topic = kafka.topic("banks")
    with KafkaSender.open(kafka, writes=(topic,), give_up_seconds=kafka.give_up_seconds) as sender:
        sender.send_and_wait(Outgoing(topic, state.view.encode(), state.to_bytes()))
    line.run("inspect")
    port = line.settings.inference.metrics_port
    line.wait_until(lambda: line.ready(port), seconds=READY_SECONDS, what="the start of the inspection")
    if line.bank_in_force(state.view) is None:
        raise CommandFailed(f"the inspection refused the bank; see {line.folder}/inspect.log")


class Stream:
    """A camera on a running line, and a reader of what becomes of its frames."""

    def __init__(self, line: LocalStack, view: str, frames: Sequence[CameraFrame], outcomes: OutcomeReader) -> None:
        self._line = line
        self._view = view
        self._frames = frames
        self._outcomes = outcomes
        self._sent = 0

    def frames_per_second(self, count: int) -> float:
        """Send as fast as the broker takes them; from the first send to the last outcome seen."""
        self._send(WARM_UP_FRAMES, None)
        sent = self._send(count, None)
        seen = self._outcomes.first_of([each.source for each in sent])
        return count / (max(outcome.seen_at for outcome in seen.values()) - sent[0].sent_at)

    def latency(self, count: int, rate: float) -> Latency:
        """Send on a steady beat."""
        return self._latencies(self._send(count, rate), rate)

    def latency_during(self, order: BuildOrder, rate: float) -> tuple[Latency, float]:
        """The same for as long as a build runs beside it, and the seconds of that build.

        Raises CommandFailed where there is no bank in the end.
        """
        build = BuildProcess(order, timeout_seconds=BUILD_SECONDS, clock=time.monotonic)
        try:
            frames = _while_running(cycle(self._frames), build)
            sent = self._wait_for(send_all(self._line.settings.kafka, self._view, frames, rate_per_second=rate))
            ended, seconds = build.poll(), build.seconds
        finally:
            build.kill()
        if isinstance(ended, BuildFailed):
            raise CommandFailed(f"the build beside the line failed: {ended.failed}")
        return self._latencies(sent, rate), seconds

    def _send(self, count: int, rate: float | None) -> list[SentFrame]:
        frames = islice(cycle(self._frames), count)
        return self._wait_for(send_all(self._line.settings.kafka, self._view, frames, rate_per_second=rate))

    def _wait_for(self, sent: list[SentFrame]) -> list[SentFrame]:
        self._sent += len(sent)
        if not self._outcomes.wait_for(self._sent, DECIDE_SECONDS):
            raise CommandFailed(
                f"{self._sent - self._outcomes.answered} frames were not decided; see {self._line.folder}"
            )
        return sent

    def _latencies(self, sent: Sequence[SentFrame], rate: float) -> Latency:
        seen = self._outcomes.first_of([each.source for each in sent])
        seconds = np.array([seen[each.source].seen_at - each.sent_at for each in sent])
        p50, p99 = np.percentile(seconds, [50, 99])
        return Latency(len(sent), rate, float(p50), float(p99), float(seconds.max()))


def build_order(line: LocalStack, view: str, frames: Sequence[CameraFrame], graph: Graph) -> BuildOrder:
    """A build as the trainer would order it, of frames put into the line's store."""
    store = FsspecStore.open(line.settings.store.url)
    names = [f"bench/{number}.frame" for number in range(len(frames))]
    for name, frame in zip(names, frames, strict=True):
        store.put(name, frame.encoded)
    graph_file = line.folder / "graph.onnx"
    graph_file.write_bytes(graph.model)
    trainer = line.settings.trainer
    return BuildOrder(
        view=view,
        store_url=line.settings.store.url,
        frames=tuple(names),
        frame_names=tuple(names),
        graph=str(graph_file),
        network=network_of_builds(line.settings),
        threads=trainer.build_threads,
        niceness=trainer.build_niceness,
        settings=line.settings.training_of(view).build_settings,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        provenance={},
        parent=None,
        max_pixels=line.settings.images.max_pixels,
        result=str(line.folder / "beside.safetensors"),
    )


def _while_running(frames: Iterator[CameraFrame], build: BuildProcess) -> Iterator[CameraFrame]:
    for frame in frames:
        if isinstance(build.poll(), BuildFinished | BuildFailed):
            return
        yield frame
