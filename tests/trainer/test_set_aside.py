"""What always fails is passed by after a few tries: one view, one message, and never the trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from ingest.kafka.errors import TooLarge
from ingest.store import StoreError
from monitoring.health import Heartbeat
from monitoring.metrics import declare_kafka
from tests.trainer.annotated import place
from tests.trainer.fake_builds import BuildingTrainer
from tests.trainer.fake_loop import FRAMES, RecordingLoop, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import VIEW
from trainer.publisher import NotOurs
from trainer.service import Trainer
from trainer.set_aside import TRIES, NotTaken
from trainer.settings import TrainerSettings
from trainer.silent_views import SilentViews
from trainer.view_files import ViewFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ingest.kafka.records import Record
    from trainer.collector import Collector

OTHER = "line-1/other"


class FeedingLoop(RecordingLoop):
    """Gives the records that came, once."""

    def __init__(self) -> None:
        super().__init__()
        self.come: list[Record] = []

    def poll(self, timeout_seconds: float, *, room: int = 500) -> Sequence[Record]:  # noqa: ARG002 -- the Protocol's
        """As many as there is room for."""
        given, self.come = self.come[:room], self.come[room:]
        return given

    def lag_records(self) -> dict[object, int]:
        """None."""
        return {}


class BrittleCollector:
    """Fails on every record of some cameras, as a name that the store refuses or a fault of ours would have it."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.fails: dict[bytes, Exception] = {}
        self.tried: list[int] = []

    def take(self, record: Record) -> None:
        """Or fail."""
        self.tried.append(record.offset)
        if (error := self.fails.get(record.key or b"")) is not None:
            raise error
        self._collector.take(record)

    def pass_over(self, record: Record) -> None:
        """As the collector."""
        self._collector.pass_over(record)

    def settle(self) -> None:
        """As the collector."""
        self._collector.settle()


class RoundTrainer:
    """A trainer whose rounds the test turns, each after `retry_seconds`."""

    def __init__(self, folder: Path) -> None:
        self.parts = BuildingTrainer(folder)
        self.loop = FeedingLoop()
        self.loop.claims = self.parts.collecting.loop.claims
        self.parts.collecting.loop = self.parts.collecting.publisher._loop = self.loop
        self.collector = BrittleCollector(self.parts.collecting.collector)
        self.now = 0.0
        self.silent_views = SilentViews(
            self.parts.collecting.views,
            self.parts.collecting.publisher,
            ViewFiles(self.parts.collecting.store),
            forget_after_seconds=1000,
            clock=lambda: self.now,
        )
        self.trainer = Trainer(
            loop=self.loop,
            views=self.parts.collecting.views,
            collector=self.collector,  # type: ignore[arg-type] # structurally one
            controller=self.parts.controller,
            lost_banks=self.parts.lost_banks,
            shadow_watch=self.parts.shadow_watch,
            silent_views=self.silent_views,
            publisher=self.parts.collecting.publisher,
            builds=self.parts.builds,
            set_aside=self.parts.set_aside,
            settings=TrainerSettings(),
            kafka_metrics=declare_kafka(CollectorRegistry()),
            heartbeat=Heartbeat(limit_seconds=60, clock=lambda: self.now),
            clock=lambda: self.now,
        )

    def round(self) -> None:
        """One round, later."""
        self.now += 11
        self.trainer.round()

    @property
    def set_aside(self) -> float:
        """How many records were set aside."""
        value: float = self.parts.collecting.metrics.records_set_aside._value.get()
        return value

    def frames_of(self, view: str) -> int:
        """How many frames its window holds."""
        found = self.parts.collecting.views.get(view)
        return 0 if found is None else len(found.index.frames)


@pytest.fixture
def trainer(tmp_path: Path) -> RoundTrainer:
    """At its start."""
    return RoundTrainer(tmp_path)


@pytest.mark.parametrize("error", [StoreError("no such path"), RuntimeError("a fault of ours"), MemoryError()])
def test_a_record_that_always_fails_is_set_aside_and_the_other_views_learn(
    trainer: RoundTrainer, error: Exception
) -> None:
    """One key that the store refused kept the trainer from learning anything for anybody, for ever."""
    trainer.collector.fails[VIEW.encode()] = error
    trainer.loop.come = [
        record(0, picture(0)),
        *(record(offset, picture(offset), key=OTHER.encode()) for offset in range(1, 4)),
        record(4, picture(4)),
        record(5, picture(5), key=OTHER.encode()),
    ]
    for _ in range(TRIES):
        trainer.round()
    assert trainer.collector.tried == [0] * TRIES + [1, 2, 3, 4, 5]
    assert (trainer.frames_of(OTHER), trainer.frames_of(VIEW)) == (4, 0)
    assert trainer.set_aside == 2
    assert trainer.parts.collecting.views.positions == {FRAMES: 6}


def test_a_view_that_can_be_taken_again_is_tried_again(trainer: RoundTrainer) -> None:
    """A store that was down for an hour costs a few frames of learning, and no more."""
    trainer.collector.fails[VIEW.encode()] = StoreError("down")
    trainer.loop.come = [record(0, picture(0))]
    for _ in range(TRIES):
        trainer.round()
    trainer.collector.fails.clear()
    trainer.loop.come = [record(1, picture(1))]
    trainer.round()
    assert trainer.frames_of(VIEW) == 1
    trainer.collector.fails[VIEW.encode()] = StoreError("down again")
    trainer.loop.come = [record(2, picture(2))]
    trainer.round()
    trainer.collector.fails.clear()
    trainer.round()
    assert trainer.frames_of(VIEW) == 2
    assert trainer.set_aside == 1


def test_one_views_index_that_cannot_be_written_keeps_no_other_from_being_written(trainer: RoundTrainer) -> None:
    """And the position of its partition stays behind, so that a restart reads its frames again."""
    collecting = trainer.parts.collecting
    trainer.loop.come = [record(0, picture(0)), record(1, picture(1), key=OTHER.encode())]
    collecting.store.full = "camera-1/index"
    trainer.round()
    assert collecting.windows.load(VIEW) is None
    stored = collecting.windows.load(OTHER)
    assert stored is not None
    assert len(stored.frames) == 1
    assert collecting.windows.position(FRAMES) == 0
    collecting.store.full = None
    trainer.round()
    assert collecting.windows.position(FRAMES) == 2


def broken(*_: object, **__: object) -> None:
    """What carries a message out, with a fault of ours."""
    raise RuntimeError("a fault of ours")


def test_a_command_that_always_fails_is_refused_with_its_reason(
    trainer: RoundTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sent it waits for an answer; the next one is carried out."""
    parts = trainer.parts
    parts.send_frames(1)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.controller.after_command", broken)
        with pytest.raises(NotTaken):
            parts.command("rebuild", "c-1")
        with pytest.raises(NotTaken):
            parts.controller.follow_commands()
        parts.controller.follow_commands()
    why = "it fails whenever it is tried: RuntimeError: a fault of ours"
    assert parts.events == [("command_refused", "c-1", why)]
    parts.command("rollback", "c-2")
    assert parts.events[1][2].startswith("there is no previous bank to go back to")


def test_a_word_that_always_fails_is_refused_with_its_reason(
    trainer: RoundTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a command is."""
    parts = trainer.parts
    parts.send_frames(1)
    with monkeypatch.context() as patch:
        patch.setattr("trainer.controller.after_feedback", broken)
        with pytest.raises(NotTaken):
            parts.word("good", "w-1", source=place(0))
        with pytest.raises(NotTaken):
            parts.controller.follow_feedback()
        parts.controller.follow_feedback()
    assert parts.kinds == ["feedback_refused"]
    parts.word("good", "w-2", source=place(0))
    assert parts.kinds == ["feedback_refused", "labelled"]


def test_an_answer_that_is_too_large_is_refused_at_once(trainer: RoundTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be as large at the next try."""
    parts = trainer.parts
    parts.send_frames(1)
    publish, refused = parts.collecting.publisher.publish, []

    def publishing(*given: object, **named: object) -> None:
        if not refused:
            refused.append(1)
            raise TooLarge("a record is larger than its topic takes")
        publish(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(parts.collecting.publisher, "publish", publishing)
    parts.command("rebuild", "c-1")
    assert [each[0] for each in parts.events] == ["command_refused"]


def test_a_view_that_went_to_another_trainer_is_no_fault_of_a_message(trainer: RoundTrainer) -> None:
    """It is carried out there."""
    trainer.parts.send_frames(1)
    trainer.loop.claims.pop(FRAMES)
    for _ in range(TRIES + 1):
        with pytest.raises(NotOurs):
            trainer.parts.command("rebuild", "c-1")
    assert trainer.set_aside == 0
