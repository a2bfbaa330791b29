"""Commands and builds on the views in hand, with builds that end as the test says."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.bank_state import ViewState
from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import Aborted
from ingest.kafka.records import Partition
from ingest.store import StoreFull
from tests.trainer.bank_files import bank_file
from tests.trainer.fake_builds import TRAINING, BuildingTrainer
from tests.trainer.fake_loop import FRAMES
from tests.trainer.views import GRAPH, VIEW
from trainer.bank_store import BankStore
from trainer.build_order import BuildFailed, BuildFinished, BuildStep
from trainer.window import LastBuild


@pytest.fixture
def trainer(tmp_path: Path) -> BuildingTrainer:
    """A trainer at its start."""
    return BuildingTrainer(tmp_path)


FIRST = "the first bank: 6 frames came"


def test_a_view_is_announced_builds_and_is_promoted(trainer: BuildingTrainer) -> None:
    """Learning at once, then a bank in force; a running build starts no second one, and its files are gone after it."""
    trainer.send_frames(5)
    assert [state.state for state in trainer.states] == [ViewState.LEARNING]
    trainer.controller.follow_builds()
    assert not trainer.started
    trainer.send_frames(1)
    trainer.controller.follow_builds()
    trainer.started[0].answer = BuildStep(stage="embed", done=3, total=6)
    trainer.controller.follow_builds()
    assert trainer.collecting.metrics.build_progress.labels(view=VIEW)._value.get() == 0.5
    trainer.finish_build()
    assert [state.state for state in trainer.states] == [ViewState.LEARNING, ViewState.PROVISIONAL]
    assert trainer.events == [("built", None, FIRST), ("promoted", None, FIRST)]
    assert len(trainer.started) == 1
    assert list((Path(trainer.started[0].order.result).parent).iterdir()) == []
    trainer.controller.follow_builds()
    assert len(trainer.started) == 1


def test_what_a_build_is_ordered(trainer: BuildingTrainer) -> None:
    """The whole window oldest first, with where each frame stands in Kafka."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    order = trainer.started[0].order
    assert order.frame_names == tuple(f"0-{offset}" for offset in range(6))
    assert order.frames == tuple(f"windows/line-1%2Fcamera-1/0-{offset}.frame" for offset in range(6))
    assert order.provenance["topic"] == "frames"
    assert order.provenance["frames"] == {f"0-{offset}": [0, offset] for offset in range(6)}
    assert order.provenance["training"]["window_frames"] == 20
    assert (order.parent, order.settings) == (None, TRAINING.build)
    assert order.max_pixels == trainer.collecting.max_pixels


def test_a_failed_build_is_tried_again_after_more_frames(trainer: BuildingTrainer) -> None:
    """Not at once: the same frames would fail again."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.started[0].answer = BuildFailed(failed="out of memory")
    trainer.controller.follow_builds()
    assert trainer.events == [("build_failed", None, "out of memory")]
    trainer.send_frames(5)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 1
    trainer.send_frames(1)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 2


def test_a_bank_that_was_swept_away_is_a_failed_build(trainer: BuildingTrainer) -> None:
    """Temporary files may go. It was looked for without end, and no view built any more."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.started[0].answer = BuildFinished(stage_seconds={})
    trainer.controller.follow_builds()
    ((kind, _, why),) = trainer.events
    assert kind == "build_failed"
    assert why.startswith("the bank that was built cannot be read")
    assert trainer.builds.running is None


def test_a_build_does_without_frames_whose_files_are_gone(trainer: BuildingTrainer) -> None:
    """Where too few are left for a bank, it waits for more."""
    trainer.send_frames(7)
    trainer.collecting.store.delete("windows/line-1%2Fcamera-1/0-2.frame")
    trainer.controller.follow_builds()
    assert trainer.started[0].order.frame_names == ("0-0", "0-1", "0-3", "0-4", "0-5", "0-6")
    trainer.started[0].answer = BuildFailed(failed="as the test wants")
    trainer.controller.follow_builds()
    trainer.send_frames(5)
    for offset in (0, 1, 3, 4, 5, 6, 7):
        trainer.collecting.store.delete(f"windows/line-1%2Fcamera-1/0-{offset}.frame")
    trainer.send_frames(1)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 1


def test_a_window_that_lost_files_is_saved_without_them(trainer: BuildingTrainer) -> None:
    """What a build found missing was left out in memory alone: the index in the store named those frames for ever."""
    trainer.send_frames(7)
    trainer.collecting.flush()
    trainer.collecting.store.delete("windows/line-1%2Fcamera-1/0-2.frame")
    trainer.controller.follow_builds()
    trainer.collecting.flush()
    stored = trainer.collecting.windows.load(VIEW)
    assert stored is not None
    assert [frame.offset for frame in stored.frames] == [0, 1, 3, 4, 5, 6]


@pytest.mark.parametrize("name", ["index", "state", "dirty", "announced", "to_delete", "dated"])
def test_a_view_is_changed_by_its_own_methods_alone(trainer: BuildingTrainer, name: str) -> None:
    """Whoever assigned its index had to think of `dirty` as well, and one did not."""
    trainer.send_frames(1)
    view = trainer.collecting.views.get(VIEW)
    assert view is not None
    with pytest.raises(AttributeError, match="no setter"):
        setattr(view, name, getattr(view, name))


def test_a_bank_waits_for_room_in_the_store(trainer: BuildingTrainer) -> None:
    """The view goes on as it is; with room again the finished bank is put and promoted, without a second build."""
    trainer.send_frames(6)
    trainer.collecting.store.full = "banks/"
    with pytest.raises(StoreFull):
        trainer.finish_build()
    assert [state.state for state in trainer.states] == [ViewState.LEARNING]
    trainer.collecting.store.full = None
    trainer.controller.follow_builds()
    assert [state.state for state in trainer.states] == [ViewState.LEARNING, ViewState.PROVISIONAL]
    assert len(trainer.started) == 1


def test_a_rebuild_by_command_has_its_id_in_its_events(trainer: BuildingTrainer) -> None:
    """And it stays asked for while another build runs."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.command("rebuild", "c-1")
    trainer.finish_build()
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    assert trainer.events == [
        ("built", None, FIRST),
        ("promoted", None, FIRST),
        ("built", "c-1", "to see"),
        ("promoted", "c-1", "to see"),
    ]
    trainer.controller.follow_builds()
    assert len(trainer.started) == 2


def test_the_age_of_the_bank_in_force_is_shown(trainer: BuildingTrainer) -> None:
    """Also after a rollback: it is the older bank's then."""

    def shown() -> float:
        trainer.controller.announce()
        seconds: float = trainer.collecting.metrics.bank_created.labels(view=VIEW)._value.get()
        return seconds

    trainer.send_frames(6)
    trainer.finish_build("2026-05-04T12:00:00.000+00:00")
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
    assert shown() == noon
    trainer.send_frames(10)
    trainer.finish_build("2026-05-04T12:00:07.000+00:00")
    assert shown() == noon + 7
    trainer.command("rollback", "c-1")
    assert shown() == noon


def test_a_rollback_stops_the_build_that_would_undo_it(trainer: BuildingTrainer) -> None:
    """Also one that a person asked for: that person learns it from the event."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.send_frames(10)
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    trainer.command("rebuild", "c-1")
    trainer.controller.follow_builds()
    trainer.command("rollback", "c-2")
    assert trainer.started[2].killed
    assert trainer.events[4:] == [
        ("rolled_back", "c-2", "to see"),
        ("build_failed", "c-1", "stopped by rollback of ana"),
    ]
    assert trainer.states[-1].active == trainer.states[1].active
    trainer.send_frames(9)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 3
    trainer.send_frames(1)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 4


def test_a_trainer_that_was_left_behind_does_not_touch_its_successors_window(trainer: BuildingTrainer) -> None:
    """A command is the first thing it sees when it wakes: no frame came, so no offset moved, and yet it must ask.

    Once it did not: it wrote its stale index, and its successor's build missed the frames.
    """
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.collecting.flush()
    before = trainer.collecting.windows.load(VIEW)
    trainer.collecting.loop.abort = True
    with pytest.raises(Aborted):
        trainer.command("rollback", "c-1")
    assert trainer.collecting.windows.load(VIEW) == before


def test_a_relearning_forgets_window_and_bank_and_starts_anew(trainer: BuildingTrainer) -> None:
    """The index in the store is empty before the state says so, and the first build counts its frames anew."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.command("relearn", "c-1")
    assert trainer.states[-1].state is ViewState.LEARNING
    assert trainer.states[-1].previous == trainer.states[1].active
    index = trainer.collecting.windows.load(VIEW)
    assert index is not None
    assert (index.frames, index.next_offsets) == ((), {0: 6})
    trainer.send_frames(5)
    trainer.controller.follow_builds()
    assert len(trainer.started) == 1
    trainer.send_frames(1)
    trainer.controller.follow_builds()
    assert trainer.started[1].order.frame_names == tuple(f"0-{offset}" for offset in range(6, 12))


def test_commands_are_carried_out_in_order_and_once(trainer: BuildingTrainer) -> None:
    """Reading them again, as after a restart, changes nothing."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.command("pin", "c-1")
    trainer.command("rollback", "c-2")
    events = trainer.events
    assert [(kind, identity) for kind, identity, _ in events[2:]] == [("pinned", "c-1"), ("command_refused", "c-2")]
    assert trainer.states[-1].commands_through == 2
    trainer.commands_sent = 0
    trainer.command("pin", "c-1")
    assert trainer.events == events


def test_a_command_for_a_view_that_nobody_saw_waits_for_its_first_frame(trainer: BuildingTrainer) -> None:
    """Then it is answered: here with a refusal, for want of a bank."""
    trainer.command("rollback", "c-1")
    assert trainer.events == []
    trainer.send_frames(1)
    trainer.controller.follow_commands()
    assert [(kind, identity) for kind, identity, _ in trainer.events] == [("command_refused", "c-1")]


def test_views_take_turns(trainer: BuildingTrainer) -> None:
    """A busy view does not keep the others from their first bank."""
    other = "line-2/camera-1"
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.send_frames(10)
    trainer.send_frames(6, view=other)
    trainer.controller.follow_builds()
    assert trainer.started[-1].order.view == other


def taken_away_and_given_back(trainer: BuildingTrainer) -> None:
    """What an abort does: everything is void, and with the next poll ours again."""
    trainer.collecting.views.revoked(frozenset({FRAMES}))
    trainer.controller.follow_builds()
    trainer.collecting.views.assigned({FRAMES: 0}, Deadline(30))


def test_an_abort_does_not_cost_the_running_build(trainer: BuildingTrainer) -> None:
    """It goes on, with the files it reads, and its bank comes into force."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.collecting.flush()
    taken_away_and_given_back(trainer)
    assert not trainer.started[0].killed
    trainer.finish_build()
    assert len(trainer.started) == 1
    assert trainer.states[-1].state is ViewState.PROVISIONAL


def test_the_build_of_a_view_that_went_to_another_trainer_is_stopped(trainer: BuildingTrainer) -> None:
    """This one still has partitions, but not the view's."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.collecting.views.revoked(frozenset({FRAMES}))
    trainer.collecting.views.assigned({Partition("frames", 1): 0}, Deadline(30))
    trainer.controller.follow_builds()
    assert (trainer.started[0].killed, trainer.builds.running) == (True, None)


def test_a_bank_is_void_where_another_trainer_has_built_meanwhile(trainer: BuildingTrainer) -> None:
    """The view went and came back with a build of its own in its index."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.collecting.flush()
    index = trainer.collecting.windows.load(VIEW)
    assert index is not None
    trainer.collecting.windows.save(index.model_copy(update={"last_build": LastBuild(seen=6, failed=False)}))
    taken_away_and_given_back(trainer)
    trainer.finish_build()
    assert [state.state for state in trainer.states] == [ViewState.LEARNING]
    assert trainer.builds.running is None


def test_a_bank_whose_abort_was_none_is_promoted_once(trainer: BuildingTrainer) -> None:
    """The broker had committed it, but its word was lost: the state that names it is there already."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    data = bank_file(created_at="2026-05-05T12:00:00.000+00:00")
    in_force = BankStore(trainer.collecting.store, graph_hash=GRAPH, keep=2).put(data, false_reject_ratio=0.02).bank
    trainer.collecting.flush()
    trainer.collecting.states = {VIEW: trainer.states[-1].model_copy(update={"active": in_force, "epoch": 2})}
    taken_away_and_given_back(trainer)
    trainer.started[-1].succeed_with(data)
    trainer.controller.follow_builds()
    trainer.controller.follow_builds()
    assert [state.epoch for state in trainer.states] == [0, 1]
    assert len(trainer.started) == 2


def test_commands_of_a_topic_that_was_made_anew_are_taken(trainer: BuildingTrainer) -> None:
    """Its offsets begin at 0 again: every command to a view that had answered more was passed over in silence."""
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.finish_build()
    for number in range(3):
        trainer.command("pin", f"c-{number}")
    assert trainer.states[-1].commands_through == 3
    trainer.commands_sent = trainer.commands_topic.end = 0
    trainer.command("set_threshold", "anew", threshold=2.5)
    assert trainer.states[-1].commands_through == 1
    trainer.command("pin", "anew-2")
    assert trainer.states[-1].commands_through == 2
