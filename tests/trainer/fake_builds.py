"""A whole trainer without Kafka, with builds that end as the test says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.command import Command
from ingest.feedback import Feedback
from ingest.frame import Frame, frame_of_record
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.records import Partition, Record
from tests.trainer.bank_files import bank_file
from tests.trainer.fake_loop import CollectingTrainer, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import AT, GRAPH, VIEW
from trainer.annotation_store import AnnotationStore
from trainer.bank_store import BankStore
from trainer.build_order import BuildAnswer, BuildFinished, BuildOrder, NetworkRun
from trainer.build_queue import BuildEnvironment, BuildQueue
from trainer.controller import ViewController
from trainer.effects import WindowEffects
from trainer.gate_records import GateRecords
from trainer.lost_banks import LostBanks
from trainer.message_queue import MessageQueue
from trainer.set_aside import SetAside
from trainer.settings import TrainerSettings, ViewTraining
from trainer.shadow_watch import ShadowWatch
from trainer.transition import NotPossible
from trainer.view_files import ViewFiles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.contract import SourceRecord
    from softpatch.gate.measures import GateMeasures

TRAINING = ViewTraining(first_build_frames=6, rebuild_every_frames=10, window_frames=20)
PICTURES = [picture(number) for number in range(40)]
DONE = BuildFinished(stage_seconds={"embed": 1.0, "subsample": 2.0})


class FakeBuild:
    """A build that ends when the test says so."""

    def __init__(self, order: BuildOrder, **_: Any) -> None:  # noqa: ANN401 -- as BuildProcess takes them
        self.order = order
        self.answer: BuildAnswer | None = None
        self.killed = False
        self.pid = 1
        self.seconds = 3.0

    def poll(self) -> BuildAnswer | None:
        """What the test set."""
        return self.answer

    def kill(self) -> None:
        """Note it."""
        self.killed = True

    def succeed_with(self, data: bytes, measures: GateMeasures | None = None) -> None:
        """End with this bank file, and with what the gate is to know of it."""
        Path(self.order.result).write_bytes(data)
        self.answer = DONE.model_copy(update={"measures": measures})


class FakeTopic:
    """Messages that have come."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.caught_up = True
        self.end = 0

    def end_offsets(self) -> Mapping[Partition, int]:
        """Behind the last that came."""
        return {Partition("messages", 0): self.end}

    def poll(self, timeout_seconds: float, *, room: int = 500) -> list[Record]:  # noqa: ARG002 -- the Protocol's
        """What has come since."""
        come, self.records = self.records, []
        self.end = max([self.end, *(each.offset + 1 for each in come)])
        return come


class FakeKafkaFrames:
    """The frames that Kafka still has: those that the test sent, but for the `expired` offsets."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.expired: set[int] = set()
        self.silent = False

    def frame(self, source: SourceRecord) -> Frame:
        """The frame of the record at an offset."""
        if self.silent:
            raise BrokerUnreachable("as the test wants")
        if source.offset in self.expired or source.offset not in self.records:
            raise NotPossible(f"Kafka has no frame at {source}: it expired, or never was")
        return frame_of_record(self.records[source.offset], "frames")


class BuildingTrainer:
    """A trainer that fills windows, carries out commands and builds."""

    def __init__(self, folder: Path, training: ViewTraining = TRAINING) -> None:
        self.commands_topic, self.feedback_topic = FakeTopic(), FakeTopic()
        self.kafka_frames = FakeKafkaFrames()
        self.started: list[FakeBuild] = []
        self.collecting = CollectingTrainer(folder / "store", training)
        (folder / "work").mkdir(exist_ok=True)
        environment = BuildEnvironment(
            folder / "graph.onnx",
            NetworkRun(provider="cpu"),
            str(folder / "store"),
            self.collecting.max_pixels,
            folder / "work",
        )
        self.ticks = 0.0
        self.builds = BuildQueue(
            environment,
            TrainerSettings(),
            clock=self.tick,
            now=lambda: AT,
            start=self.start,  # type: ignore[arg-type] # a fake build
        )
        self.commands_sent = self.words_sent = 0
        store, publisher, metrics = self.collecting.store, self.collecting.publisher, self.collecting.metrics
        self.annotation_store = AnnotationStore(store)
        self.bank_store = BankStore(store, graph_hash=GRAPH, keep=2)
        effects = WindowEffects(self.builds, publisher, metrics, now=lambda: AT)
        self.set_aside = SetAside(metrics.records_set_aside)
        self.controller = ViewController(
            views=self.collecting.views,
            commands=MessageQueue(self.commands_topic, Command),
            feedback=MessageQueue(self.feedback_topic, Feedback),
            frames=self.kafka_frames,
            builds=self.builds,
            bank_store=self.bank_store,
            annotation_store=self.annotation_store,
            gate_records=GateRecords(store, signer=None, keep=3),
            files=ViewFiles(store),
            windows=self.collecting.windows,
            publisher=publisher,
            effects=effects,
            set_aside=self.set_aside,
            metrics=metrics,
            graph_hash=GRAPH,
            now=lambda: AT,
        )
        self.seconds = 0.0
        self.lost_banks = LostBanks(
            views=self.collecting.views,
            bank_store=self.bank_store,
            windows=self.collecting.windows,
            publisher=publisher,
            effects=effects,
            metrics=metrics,
            check_seconds=30,
            clock=lambda: self.seconds,
            now=lambda: AT,
        )
        self.shadow_topic = FakeTopic()
        self.shadow_watch = ShadowWatch(
            decisions=self.shadow_topic,
            views=self.collecting.views,
            bank_store=self.bank_store,
            publisher=publisher,
            metrics=metrics,
            now=lambda: self.now,
        )
        self.now = AT
        self.offset = 0

    def tick(self) -> float:
        """A clock that goes on with each look."""
        self.ticks += 1
        return self.ticks

    def start(self, order: BuildOrder, **rest: Any) -> FakeBuild:  # noqa: ANN401 -- as BuildProcess takes them
        """Start a fake build."""
        self.started.append(FakeBuild(order, **rest))
        return self.started[-1]

    def send_frames(self, count: int, view: str = VIEW) -> None:
        """So many frames come."""
        for _ in range(count):
            sent = record(self.offset, PICTURES[self.offset], key=view.encode())
            self.kafka_frames.records[self.offset] = sent
            self.collecting.take(sent)
            self.offset += 1
        self.controller.announce()

    def command(self, kind: str, identity: str, **fields: object) -> None:
        """Ana sends a command."""
        whole: dict[str, Any] = {"id": identity, "view": VIEW, "kind": kind, "who": "ana", "why": "to see", "at": AT}
        value = Command.model_validate(whole | fields).to_bytes()
        self.commands_topic.records.append(
            Record("commands", 0, self.commands_sent, 0, "create_time", VIEW.encode(), value, ())
        )
        self.commands_sent += 1
        self.controller.follow_commands()

    def word(self, kind: str, identity: str, **said: object) -> None:
        """Ana gives her word on a frame or a group."""
        whole: dict[str, Any] = {"id": identity, "view": VIEW, "kind": kind, "who": "ana", "why": "I looked", "at": AT}
        value = Feedback.model_validate(whole | said).to_bytes()
        self.feedback_topic.records.append(
            Record("feedback", 0, self.words_sent, 0, "create_time", VIEW.encode(), value, ())
        )
        self.words_sent += 1
        self.controller.follow_feedback()

    def look_for_banks(self) -> None:
        """The time for a look at the store has come."""
        self.seconds += 30
        self.lost_banks.check()

    def finish_build(
        self,
        created_at: str = "2026-05-04T12:00:00.000+00:00",
        *,
        measures: GateMeasures | None = None,
        **what: Any,  # noqa: ANN401
    ) -> None:
        """The build whose turn it is ends well; `what` is found, as `bank_file` takes it."""
        self.controller.follow_builds()
        self.started[-1].succeed_with(bank_file(created_at=created_at, **what), measures)
        self.controller.follow_builds()

    @property
    def states(self) -> list[BankState]:
        """What was published."""
        return [
            BankState.from_bytes(each.value or b"")
            for work in self.collecting.loop.committed
            for each in work.outgoing
            if each.topic == "banks"
        ]

    @property
    def whole_events(self) -> list[BankEvent]:
        """What happened."""
        return [
            BankEvent.from_bytes(each.value or b"")
            for work in self.collecting.loop.committed
            for each in work.outgoing
            if each.topic == "bank-events"
        ]

    @property
    def events(self) -> list[tuple[str, str | None, str]]:
        """What happened: kind, command, why."""
        return [(event.kind.value, event.command_id, event.why) for event in self.whole_events]

    @property
    def kinds(self) -> list[str]:
        """What happened, in order."""
        return [event.kind.value for event in self.whole_events]
