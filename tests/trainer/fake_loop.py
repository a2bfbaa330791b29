"""A trainer without Kafka: a loop that records what is committed, and a store that can be full."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from ingest.decoding import FrameDecoder, ImageSettings
from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import Aborted
from ingest.kafka.records import Claim, Committed, Partition, Record
from ingest.store import FsspecStore, StoreFull
from monitoring.metrics import TrainerMetrics, declare_kafka, declare_trainer
from softpatch.images.input_faults import InputBaseline
from tests.ingest.no_claims import NO_CLAIMS
from tests.trainer.views import AT, VIEW
from trainer.collector import Collector
from trainer.owned_views import OwnedViews
from trainer.publisher import Publisher, Topics
from trainer.settings import ViewTraining
from trainer.window_store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ingest.bank_state import BankState
    from ingest.claims import Claims
    from ingest.kafka.records import Headers, Work

TOPICS = Topics(frames=("frames",), banks="banks", bank_events="bank-events", commands="commands", feedback="feedback")
FRAMES = Partition("frames", 0)


class RecordingLoop:
    """Commits into a list. `abort`: the next commit aborts; a claim taken out of `claims` is void."""

    def __init__(self) -> None:
        self.claims: dict[Partition, Claim] = {}
        self.committed: list[Work] = []
        self.read_again_from: list[Partition] = []
        self.abort = False

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:  # noqa: ARG002 -- the Protocol's
        """Nothing comes by itself."""
        return []

    def commit(self, works: Sequence[Work]) -> Committed:
        """Keep the works whose claim holds."""
        if self.abort:
            self.abort = False
            raise Aborted("as the test wants")
        done = tuple(work for work in works if self.claims.get(work.claim.partition) == work.claim)
        self.committed.extend(done)
        return Committed(done, tuple(work for work in works if work not in done))

    def read_again(self, partition: Partition) -> None:
        """Give the partition another claim, and note it."""
        self.read_again_from.append(partition)
        self.claims[partition] = Claim(partition, self.claims[partition].tenure + 1)


class Disk(FsspecStore):
    """A store in a folder that has no room for paths which hold the text in `full`."""

    full: str | None = None

    def put(self, path: str, data: bytes) -> None:
        """As a full disk does."""
        if self.full is not None and self.full in path:
            raise StoreFull(f"no room to write {path!r}")
        super().put(path, data)

    def append(self, path: str, data: bytes) -> None:
        """As a full disk does: half of it is there."""
        if self.full is not None and self.full in path:
            super().append(path, data[: len(data) // 2])
            raise StoreFull(f"no room to write {path!r}")
        super().append(path, data)


@dataclass
class CollectingTrainer:
    """The part of a trainer that fills windows, from its start; a second one on the same store is its restart."""

    folder: Path
    training: ViewTraining = field(default_factory=ViewTraining)
    states: Mapping[str, BankState] = field(default_factory=dict)
    ends: dict[Partition, int] = field(default_factory=dict)
    now_seconds: float = 0.0
    max_views: int = 1000
    baseline: InputBaseline = field(default_factory=InputBaseline)
    max_pixels: int = 50_000_000
    claims: Claims = NO_CLAIMS
    topics: Sequence[str] = ("frames",)

    def __post_init__(self) -> None:
        """Take over partition 0."""
        self.store = Disk.open(str(self.folder))
        self.windows = WindowStore(self.store)
        self.loop = RecordingLoop()
        self.metrics: TrainerMetrics = declare_trainer(CollectorRegistry())
        self.views = OwnedViews(
            topics=self.topics,
            windows=self.windows,
            training_of=lambda _: self.training,
            read_states=lambda: self.states,
            ends=lambda: self.ends,
            metrics=self.metrics,
            max_views=self.max_views,
            now=lambda: AT,
        )
        self.collector = Collector(
            self.views,
            self.windows,
            self.metrics,
            baseline_of=lambda _: self.baseline,
            decoder=FrameDecoder(ImageSettings(max_pixels=self.max_pixels), workers=1, clock=lambda: self.now_seconds),
            claims=self.claims,
            first_topic=self.topics[0],
            clock=lambda: self.now_seconds,
        )
        self.publisher = Publisher(
            self.loop,
            self.views,
            self.windows,
            TOPICS,
            metrics=self.metrics,
            kafka_metrics=declare_kafka(CollectorRegistry()),
        )
        self.start = self.views.assigned({FRAMES: None}, Deadline(30))[FRAMES]
        self.views.read_on(30)
        self.loop.claims[FRAMES] = Claim(FRAMES, 1)

    def take(self, record: Record) -> None:
        """Collect one record."""
        self.collector.take(record)
        self.collector.settle()

    def flush(self, *, building: bool = False) -> None:
        """Make the store true."""
        self.publisher.flush(in_use=lambda _: building)

    def frame_files(self) -> set[str]:
        """The frames in the view's folder."""
        return {path.rsplit("/", 1)[1] for path in self.store.paths("windows") if path.endswith(".frame")}

    def skipped(self, reason: str, view: str = VIEW) -> float:
        """How many frames were skipped for this reason."""
        value: float = self.metrics.frames_skipped.labels(view=view, reason=reason)._value.get()
        return value


def record(
    offset: int,
    value: bytes | None,
    *,
    key: bytes | None = VIEW.encode(),
    frame_id: str | None = None,
    headers: Headers = (),
) -> Record:
    """A record of partition 0."""
    headers = headers if frame_id is None else (*headers, ("frame-id", frame_id.encode()))
    return Record("frames", 0, offset, offset, "log_append_time", key, value, headers, Claim(FRAMES, 1))
