"""Views end: by a person's word, or by silence where they never had a bank."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ingest.bank_state import ViewState
from ingest.kafka.records import Claim
from tests.trainer.annotated import place
from tests.trainer.fake_builds import BuildingTrainer
from tests.trainer.fake_loop import FRAMES, CollectingTrainer, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import VIEW, state
from trainer.silent_views import SilentViews
from trainer.view_files import ViewFiles

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.kafka.records import Record

OTHER = "line-1/other"


@pytest.fixture
def trainer(tmp_path: Path) -> BuildingTrainer:
    """A trainer with a bank in force and a word on a frame."""
    made = BuildingTrainer(tmp_path)
    made.send_frames(6)
    made.finish_build()
    made.word("bad", "w-1", source=place(3))
    return made


def test_a_retired_view_leaves_nothing_but_what_of_its_commands_is_done(trainer: BuildingTrainer) -> None:
    """No file, no series, no view; the state says who retired it."""
    trainer.command("retire", "c-1")
    assert ("retired", "c-1", "to see") in trainer.events
    last = trainer.states[-1]
    assert (last.state, last.active, last.previous, last.annotations) == (ViewState.RETIRED, None, None, ())
    assert (last.commands_through, last.feedback_through) == (1, 1)
    assert [path for path in trainer.collecting.store.paths() if "positions/" not in path] == []
    assert trainer.collecting.views.get(VIEW) is None
    assert trainer.builds.running is None


def test_a_frame_of_a_retired_view_begins_it_anew_and_carries_no_command_out_twice(trainer: BuildingTrainer) -> None:
    """The epoch goes on, so that readers take the new state for newer."""
    trainer.command("retire", "c-1")
    epoch = trainer.states[-1].epoch
    trainer.send_frames(1)
    trainer.controller.follow_commands()
    again = trainer.states[-1]
    assert (again.state, again.epoch, again.commands_through) == (ViewState.LEARNING, epoch + 1, 1)
    assert trainer.kinds.count("retired") == 1
    trainer.command("retire", "c-2")
    trainer.command("retire", "c-3")
    assert trainer.kinds.count("retired") == 2


def silent_views(trainer: CollectingTrainer) -> SilentViews:
    """The check, at the trainer's clock."""
    return SilentViews(
        trainer.views,
        trainer.publisher,
        ViewFiles(trainer.store),
        forget_after_seconds=1000,
        clock=lambda: trainer.now_seconds,
    )


def test_a_view_without_a_bank_that_falls_silent_is_forgotten_everywhere(tmp_path: Path) -> None:
    """Five thousand of one frame each made the trainer slow for ever; one that goes on sending stays."""
    trainer = CollectingTrainer(tmp_path)
    check = silent_views(trainer)
    for offset, view in enumerate((VIEW, OTHER)):
        trainer.take(record(offset, picture(offset), key=view.encode()))
    for view in trainer.views:
        view.published(view.state)
    trainer.flush()
    trainer.now_seconds = 900
    trainer.take(record(2, picture(2), key=OTHER.encode()))
    trainer.now_seconds = 1100
    check.check()
    assert [view.name for view in trainer.views] == [OTHER]
    assert trainer.windows.views() == [OTHER]
    (tombstone,) = trainer.loop.committed[-1].outgoing
    assert (tombstone.topic, tombstone.key, tombstone.value) == ("banks", VIEW.encode(), None)


@pytest.mark.parametrize("change", [{"commands_through": 1}, {"state": ViewState.HELD}])
def test_a_view_that_people_have_said_something_of_does_not_end_by_itself(
    tmp_path: Path, change: dict[str, object]
) -> None:
    """Its state says which commands are carried out."""
    trainer = CollectingTrainer(tmp_path, states={VIEW: state(ViewState.LEARNING).model_copy(update=change)})
    check = silent_views(trainer)
    trainer.take(record(0, picture(0)))
    trainer.now_seconds = 5000
    check.check()
    assert [view.name for view in trainer.views] == [VIEW]


def test_what_was_in_the_store_before_counts_as_heard_when_it_is_looked_at(tmp_path: Path) -> None:
    """A restart begins to count the silence of every view anew."""
    before = CollectingTrainer(tmp_path)
    before.take(record(0, picture(0)))
    before.flush()
    trainer = CollectingTrainer(tmp_path)
    trainer.views.read_on(10)
    check = silent_views(trainer)
    trainer.now_seconds = 5000
    check.check()
    assert [view.name for view in trainer.views] == [VIEW]
    trainer.now_seconds = 7000
    check.check()
    assert list(trainer.views) == []


def test_no_more_views_are_learnt_than_there_is_room_for(tmp_path: Path) -> None:
    """Their frames are counted; a view whose bank is known opens all the same."""
    trainer = CollectingTrainer(tmp_path, max_views=1)
    trainer.take(record(0, picture(0)))
    trainer.take(record(1, picture(1), key=OTHER.encode()))
    assert [view.name for view in trainer.views] == [VIEW]
    assert trainer.skipped("too_many_views", view="") == 1
    assert trainer.views.positions == {FRAMES: 2}


def another_partition(offset: int, *, at_ms: int = 0) -> Record:
    """A frame of the view in a partition that its other sender's partitioner chose."""
    return replace(record(offset, picture(offset)), partition=1, timestamp_ms=at_ms)


def test_a_view_in_two_partitions_of_one_trainer_is_one_view(tmp_path: Path) -> None:
    """Its window takes both, and it is noticed."""
    trainer = CollectingTrainer(tmp_path)
    trainer.views.positions[FRAMES._replace(partition=1)] = 0
    for offset in range(4):
        trainer.take(record(offset, picture(offset)))
        trainer.take(another_partition(offset + 10))
    (view,) = trainer.views
    assert len(view.index.frames) == 8
    assert trainer.metrics.partition_changes._value.get() == 7


def test_a_view_that_another_trainer_learns_is_not_learnt_twice_unless_it_has_moved(tmp_path: Path) -> None:
    """Two trainers wrote over one another's window; once its old partition has been quiet for an hour, it moves."""
    first = CollectingTrainer(tmp_path)
    first.take(record(0, picture(0)))
    first.flush()
    second = CollectingTrainer(tmp_path)
    second.views.revoked(frozenset({FRAMES}))
    second.views.positions[FRAMES._replace(partition=1)] = 0
    second.take(another_partition(10, at_ms=1000))
    second.take(another_partition(11, at_ms=1001))
    assert list(second.views) == []
    assert second.skipped("other_partition", view="") == 2
    second.take(another_partition(12, at_ms=4_000_000))
    assert [view.name for view in second.views] == [VIEW]


def test_of_two_trainers_that_open_a_new_view_at_once_one_lets_go(tmp_path: Path) -> None:
    """The one whose window was written over; no file of the other's is touched."""
    first, second = CollectingTrainer(tmp_path), CollectingTrainer(tmp_path)
    second.views.revoked(frozenset({FRAMES}))
    second.views.positions[FRAMES._replace(partition=1)] = 0
    first.take(record(0, picture(0)))
    second.take(another_partition(10))
    second.loop.claims = {FRAMES._replace(partition=1): Claim(FRAMES._replace(partition=1), 1)}
    first.flush()
    second.flush()
    checks = silent_views(first), silent_views(second)
    first.now_seconds = second.now_seconds = 61
    for check in checks:
        check.check()
    assert [view.name for view in first.views] == []
    assert [view.name for view in second.views] == [VIEW]
    assert second.frame_files() >= {"1-10.frame"}
