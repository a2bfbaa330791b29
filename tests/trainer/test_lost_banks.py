"""A store that loses files: what the trainer says, and how it comes to a bank again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ingest.bank_state import ViewState
from ingest.kafka.connecting import Deadline
from ingest.store import StoreError
from tests.trainer.fake_builds import PICTURES, TRAINING, BuildingTrainer
from tests.trainer.fake_loop import FRAMES, record
from tests.trainer.views import VIEW
from trainer.settings import ViewTraining

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.window import WindowIndex

LATER = "2026-05-04T12:00:01.000+00:00"


@pytest.fixture
def trainer(tmp_path: Path) -> BuildingTrainer:
    """A trainer whose view has a bank of six frames, all of it in the store."""
    trainer = BuildingTrainer(tmp_path)
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.collecting.flush()
    trainer.look_for_banks()
    assert trainer.kinds == ["built", "promoted"]
    return trainer


def index_of(trainer: BuildingTrainer) -> WindowIndex:
    """The view's window in memory."""
    view = trainer.collecting.views.get(VIEW)
    assert view is not None
    return view.index


def send_again(trainer: BuildingTrainer) -> None:
    """Kafka gives all frames of the partition once more, with the claim that holds now."""
    for offset in range(trainer.offset):
        sent = record(offset, PICTURES[offset])
        trainer.collecting.take(sent)


def test_a_store_whose_folder_is_gone_heals(tmp_path: Path, trainer: BuildingTrainer) -> None:
    """It was never noticed: every frame was `bank_refused`, a rollback was refused, and no bank came any more."""
    lost = trainer.states[-1].active
    shutil.rmtree(tmp_path / "store")
    trainer.look_for_banks()
    event = trainer.whole_events[-1]
    assert lost is not None
    assert (event.kind, event.bank_version, event.facts) == (
        "bank_lost",
        lost.version,
        {"frames": 0, "read_again": True},
    )
    assert trainer.collecting.metrics.banks_lost.labels(view=VIEW)._value.get() == 1
    assert trainer.states[-1].active == lost
    assert (index_of(trainer).frames, trainer.collecting.views.positions) == ((), {FRAMES: 0})
    assert trainer.collecting.loop.read_again_from == [FRAMES]

    trainer.command("rollback", "c-1")
    assert trainer.events[-1] == (
        "command_refused",
        "c-1",
        "there is no previous bank to go back to; `promote` takes any bank that is still kept",
    )
    send_again(trainer)
    trainer.finish_build(LATER)
    assert trainer.events[-2] == ("built", None, "the file of the bank in force is gone: 6 frames came")
    after = trainer.states[-1]
    assert after.active is not None
    assert (after.state, after.active != lost) == (ViewState.PROVISIONAL, True)
    assert trainer.collecting.store.exists(after.active.uri)
    assert index_of(trainer).lost_bank is None
    trainer.look_for_banks()
    assert trainer.kinds.count("bank_lost") == 1


def test_a_rollback_while_both_banks_are_lost_says_what_happens(tmp_path: Path, trainer: BuildingTrainer) -> None:
    """The previous bank's file went with the store, too."""
    trainer.send_frames(10)
    trainer.finish_build(LATER)
    shutil.rmtree(tmp_path / "store")
    trainer.look_for_banks()
    trainer.command("rollback", "c-1")
    kind, _, why = trainer.events[-1]
    assert kind == "command_refused"
    assert why.endswith(
        "shows them; the file of the bank in force is gone too, so a new bank is built from the frames that Kafka "
        "still has once 6 came (0 so far); running inspections keep the bank they have loaded"
    )


def test_a_bank_that_is_gone_alone_is_built_again_from_the_window(trainer: BuildingTrainer) -> None:
    """Its frames are there: none is read again, and the build starts at once."""
    active = trainer.states[-1].active
    assert active is not None
    trainer.collecting.store.delete(active.uri)
    trainer.look_for_banks()
    assert trainer.whole_events[-1].facts == {"frames": 6, "read_again": False}
    assert trainer.collecting.loop.read_again_from == []
    trainer.controller.follow_builds()
    assert len(trainer.started[1].order.frames) == 6


def test_the_same_loss_is_told_once(tmp_path: Path, trainer: BuildingTrainer) -> None:
    """Also by a trainer that takes over with the index in the store, and with each look."""
    shutil.rmtree(tmp_path / "store")
    trainer.look_for_banks()
    trainer.look_for_banks()
    trainer.collecting.states = {VIEW: trainer.states[-1]}
    trainer.collecting.views.revoked(frozenset({FRAMES}))
    assert trainer.collecting.views.assigned({FRAMES: 6}, Deadline(30)) == {FRAMES: 0}
    trainer.look_for_banks()
    assert trainer.kinds.count("bank_lost") == 1


def test_a_trainer_that_starts_without_its_store_reads_all_frames_again(
    tmp_path: Path, trainer: BuildingTrainer
) -> None:
    """It finds no window either: the view opens with the first frame, and then its bank is looked for."""
    shutil.rmtree(tmp_path / "store")
    trainer.collecting.states = {VIEW: trainer.states[-1]}
    trainer.collecting.views.revoked(frozenset({FRAMES}))
    assert trainer.collecting.views.assigned({FRAMES: 6}, Deadline(30)) == {FRAMES: 0}
    trainer.collecting.take(record(0, PICTURES[0]))
    trainer.lost_banks.check()
    assert trainer.kinds[-1] == "bank_lost"
    send_again(trainer)
    trainer.controller.follow_builds()
    assert trainer.started[-1].order.frame_names == tuple(f"0-{offset}" for offset in range(6))


def test_a_look_is_taken_when_a_view_comes_and_after_its_time(trainer: BuildingTrainer) -> None:
    """Not with every round: the store may be far away."""
    active = trainer.states[-1].active
    assert active is not None
    trainer.collecting.store.delete(active.uri)
    trainer.seconds += 29
    trainer.lost_banks.check()
    assert trainer.kinds[-1] == "promoted"
    trainer.seconds += 1
    trainer.lost_banks.check()
    assert trainer.kinds[-1] == "bank_lost"


def test_a_store_that_does_not_answer_has_lost_nothing(
    trainer: BuildingTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drivers of object stores say of a folder that they cannot reach that it is not there."""

    def silent(_: object, path: str) -> bytes:
        raise StoreError(f"cannot read {path!r}: no route to host")

    monkeypatch.setattr(trainer.collecting.store, "paths", lambda _: [])
    monkeypatch.setattr(type(trainer.collecting.store), "get", silent)
    with pytest.raises(StoreError, match="no route to host"):
        trainer.look_for_banks()
    assert trainer.kinds[-1] == "promoted"


def test_the_running_build_of_a_lost_window_is_stopped(tmp_path: Path, trainer: BuildingTrainer) -> None:
    """Its frames are gone. Who asked for it learns why."""
    trainer.command("rebuild", "c-1")
    trainer.controller.follow_builds()
    shutil.rmtree(tmp_path / "store")
    trainer.look_for_banks()
    assert trainer.started[1].killed
    assert trainer.events[-2:] == [
        ("bank_lost", None, trainer.events[-2][2]),
        ("build_failed", "c-1", "stopped by the loss of the bank in force"),
    ]


def test_other_views_of_the_partition_take_no_frame_twice(tmp_path: Path) -> None:
    """They share it with the view whose bank is gone."""
    other = "line-2/camera-1"
    trainer = BuildingTrainer(tmp_path, ViewTraining.model_validate(TRAINING.model_dump() | {"first_build_frames": 7}))
    trainer.send_frames(7)
    trainer.finish_build()
    trainer.send_frames(3, view=other)
    trainer.collecting.flush()
    active = trainer.states[1].active
    assert active is not None
    for path in trainer.collecting.store.paths("windows/line-1%2Fcamera-1"):
        trainer.collecting.store.delete(path)
    trainer.collecting.store.delete(active.uri)
    trainer.look_for_banks()
    for offset in range(10):
        trainer.collecting.take(record(offset, PICTURES[offset], key=VIEW.encode() if offset < 7 else other.encode()))
    theirs = trainer.collecting.views.get(other)
    assert theirs is not None
    assert (theirs.index.seen, index_of(trainer).seen) == (3, 7)


def test_what_could_not_be_done_after_the_event_is_done_without_a_second_one(
    tmp_path: Path, trainer: BuildingTrainer
) -> None:
    """The store was full, say, or the transaction was aborted."""
    shutil.rmtree(tmp_path / "store")
    trainer.collecting.store.full = "positions"
    with pytest.raises(StoreError):
        trainer.look_for_banks()
    trainer.collecting.store.full = None
    trainer.lost_banks.check()
    assert trainer.kinds.count("bank_lost") == 1
    assert trainer.collecting.loop.read_again_from == [FRAMES]
