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
from tests.trainer.fake_builds import TRAINING, Shop
from tests.trainer.fake_loop import FRAMES
from tests.trainer.views import GRAPH, VIEW
from trainer.bank_store import BankStore
from trainer.build_order import BuildFailed, BuildFinished, BuildStep
from trainer.window import LastBuild


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A shop at its start."""
    return Shop(tmp_path)


FIRST = "the first bank: 6 frames came"


def test_a_view_is_announced_builds_and_is_promoted(shop: Shop) -> None:
    """Learning at once, then a bank in force; a running build starts no second one, and its files are gone after it."""
    shop.frames(5)
    assert [state.state for state in shop.states] == [ViewState.LEARNING]
    shop.teacher.look_after_builds()
    assert not shop.started
    shop.frames(1)
    shop.teacher.look_after_builds()
    shop.started[0].answer = BuildStep(stage="embed", done=3, total=6)
    shop.teacher.look_after_builds()
    assert shop.hands.metrics.build_progress.labels(view=VIEW)._value.get() == 0.5
    shop.learnt()
    assert [state.state for state in shop.states] == [ViewState.LEARNING, ViewState.PROVISIONAL]
    assert shop.events == [("built", None, FIRST), ("promoted", None, FIRST)]
    assert len(shop.started) == 1
    assert list((Path(shop.started[0].order.result).parent).iterdir()) == []
    shop.teacher.look_after_builds()
    assert len(shop.started) == 1


def test_what_a_build_is_ordered(shop: Shop) -> None:
    """The whole window oldest first, with where each frame stands in Kafka."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    order = shop.started[0].order
    assert order.frame_names == tuple(f"0-{offset}" for offset in range(6))
    assert order.frames == tuple(f"windows/line-1%2Fcamera-1/0-{offset}.frame" for offset in range(6))
    assert order.provenance["topic"] == "frames"
    assert order.provenance["frames"] == {f"0-{offset}": [0, offset] for offset in range(6)}
    assert order.provenance["training"]["window_frames"] == 20
    assert (order.parent, order.settings) == (None, TRAINING.build)


def test_a_failed_build_is_tried_again_after_more_frames(shop: Shop) -> None:
    """Not at once: the same frames would fail again."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.started[0].answer = BuildFailed(failed="out of memory")
    shop.teacher.look_after_builds()
    assert shop.events == [("build_failed", None, "out of memory")]
    shop.frames(5)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 1
    shop.frames(1)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 2


def test_a_bank_that_was_swept_away_is_a_failed_build(shop: Shop) -> None:
    """Temporary files may go. It was looked for without end, and no view built any more."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.started[0].answer = BuildFinished(stage_seconds={})
    shop.teacher.look_after_builds()
    ((kind, _, why),) = shop.events
    assert kind == "build_failed"
    assert why.startswith("the bank that was built cannot be read")
    assert shop.builds.running is None


def test_a_build_does_without_frames_whose_files_are_gone(shop: Shop) -> None:
    """Where too few are left for a bank, it waits for more."""
    shop.frames(7)
    shop.hands.store.delete("windows/line-1%2Fcamera-1/0-2.frame")
    shop.teacher.look_after_builds()
    assert shop.started[0].order.frame_names == ("0-0", "0-1", "0-3", "0-4", "0-5", "0-6")
    shop.started[0].answer = BuildFailed(failed="as the test wants")
    shop.teacher.look_after_builds()
    shop.frames(5)
    for offset in (0, 1, 3, 4, 5, 6, 7):
        shop.hands.store.delete(f"windows/line-1%2Fcamera-1/0-{offset}.frame")
    shop.frames(1)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 1


def test_a_bank_waits_for_room_in_the_store(shop: Shop) -> None:
    """The view goes on as it is; with room again the finished bank is put and promoted, without a second build."""
    shop.frames(6)
    shop.hands.store.full = "banks/"
    with pytest.raises(StoreFull):
        shop.learnt()
    assert [state.state for state in shop.states] == [ViewState.LEARNING]
    shop.hands.store.full = None
    shop.teacher.look_after_builds()
    assert [state.state for state in shop.states] == [ViewState.LEARNING, ViewState.PROVISIONAL]
    assert len(shop.started) == 1


def test_a_rebuild_by_command_has_its_id_in_its_events(shop: Shop) -> None:
    """And it stays asked for while another build runs."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.command("rebuild", "c-1")
    shop.learnt()
    shop.learnt("2026-05-04T12:00:01.000+00:00")
    assert shop.events == [
        ("built", None, FIRST),
        ("promoted", None, FIRST),
        ("built", "c-1", "to see"),
        ("promoted", "c-1", "to see"),
    ]
    shop.teacher.look_after_builds()
    assert len(shop.started) == 2


def test_the_age_of_the_bank_in_force_is_shown(shop: Shop) -> None:
    """Also after a rollback: it is the older bank's then."""

    def shown() -> float:
        shop.teacher.announce()
        seconds: float = shop.hands.metrics.bank_created.labels(view=VIEW)._value.get()
        return seconds

    shop.frames(6)
    shop.learnt("2026-05-04T12:00:00.000+00:00")
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
    assert shown() == noon
    shop.frames(10)
    shop.learnt("2026-05-04T12:00:07.000+00:00")
    assert shown() == noon + 7
    shop.command("rollback", "c-1")
    assert shown() == noon


def test_a_rollback_stops_the_build_that_would_undo_it(shop: Shop) -> None:
    """Also one that a person asked for: that person learns it from the event."""
    shop.frames(6)
    shop.learnt()
    shop.frames(10)
    shop.learnt("2026-05-04T12:00:01.000+00:00")
    shop.command("rebuild", "c-1")
    shop.teacher.look_after_builds()
    shop.command("rollback", "c-2")
    assert shop.started[2].killed
    assert shop.events[4:] == [("rolled_back", "c-2", "to see"), ("build_failed", "c-1", "stopped by rollback of ana")]
    assert shop.states[-1].active == shop.states[1].active
    shop.frames(9)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 3
    shop.frames(1)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 4


def test_a_trainer_that_was_left_behind_does_not_touch_its_successors_window(shop: Shop) -> None:
    """A command is the first thing it sees when it wakes: no frame came, so no offset moved, and yet it must ask.

    Once it did not: it wrote its stale index, and its successor's build missed the frames.
    """
    shop.frames(6)
    shop.learnt()
    shop.hands.flush()
    before = shop.hands.windows.load(VIEW)
    shop.hands.loop.abort = True
    with pytest.raises(Aborted):
        shop.command("rollback", "c-1")
    assert shop.hands.windows.load(VIEW) == before


def test_a_relearning_forgets_window_and_bank_and_starts_anew(shop: Shop) -> None:
    """The index in the store is empty before the state says so, and the first build counts its frames anew."""
    shop.frames(6)
    shop.learnt()
    shop.command("relearn", "c-1")
    assert shop.states[-1].state is ViewState.LEARNING
    assert shop.states[-1].previous == shop.states[1].active
    index = shop.hands.windows.load(VIEW)
    assert index is not None
    assert (index.frames, index.next_offsets) == ((), {0: 6})
    shop.frames(5)
    shop.teacher.look_after_builds()
    assert len(shop.started) == 1
    shop.frames(1)
    shop.teacher.look_after_builds()
    assert shop.started[1].order.frame_names == tuple(f"0-{offset}" for offset in range(6, 12))


def test_commands_are_carried_out_in_order_and_once(shop: Shop) -> None:
    """Reading them again, as after a restart, changes nothing."""
    shop.frames(6)
    shop.learnt()
    shop.command("pin", "c-1")
    shop.command("rollback", "c-2")
    events = shop.events
    assert [(kind, identity) for kind, identity, _ in events[2:]] == [("pinned", "c-1"), ("command_refused", "c-2")]
    assert shop.states[-1].commands_through == 2
    shop.commands_sent = 0
    shop.command("pin", "c-1")
    assert shop.events == events


def test_a_command_for_a_view_that_nobody_saw_waits_for_its_first_frame(shop: Shop) -> None:
    """Then it is answered: here with a refusal, for want of a bank."""
    shop.command("rollback", "c-1")
    assert shop.events == []
    shop.frames(1)
    shop.teacher.follow_commands()
    assert [(kind, identity) for kind, identity, _ in shop.events] == [("command_refused", "c-1")]


def test_views_take_turns(shop: Shop) -> None:
    """A busy view does not keep the others from their first bank."""
    other = "line-2/camera-1"
    shop.frames(6)
    shop.learnt()
    shop.frames(10)
    shop.frames(6, view=other)
    shop.teacher.look_after_builds()
    assert shop.started[-1].order.view == other


def taken_away_and_given_back(shop: Shop) -> None:
    """What an abort does: everything is void, and with the next poll ours again."""
    shop.hands.building.add(VIEW)
    shop.hands.holdings.revoked(frozenset({FRAMES}))
    shop.teacher.look_after_builds()
    shop.hands.holdings.assigned({FRAMES: 0}, Deadline(30))


def test_an_abort_does_not_cost_the_running_build(shop: Shop) -> None:
    """It goes on, with the files it reads, and its bank comes into force."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.hands.flush()
    taken_away_and_given_back(shop)
    assert not shop.started[0].killed
    shop.learnt()
    assert len(shop.started) == 1
    assert shop.states[-1].state is ViewState.PROVISIONAL


def test_the_build_of_a_view_that_went_to_another_trainer_is_stopped(shop: Shop) -> None:
    """This one still has partitions, but not the view's."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.hands.holdings.revoked(frozenset({FRAMES}))
    shop.hands.holdings.assigned({Partition("frames", 1): 0}, Deadline(30))
    shop.teacher.look_after_builds()
    assert (shop.started[0].killed, shop.builds.running) == (True, None)


def test_a_bank_is_void_where_another_trainer_has_built_meanwhile(shop: Shop) -> None:
    """The view went and came back with a build of its own in its index."""
    shop.frames(6)
    shop.teacher.look_after_builds()
    shop.hands.flush()
    index = shop.hands.windows.load(VIEW)
    assert index is not None
    shop.hands.windows.save(index.model_copy(update={"last_build": LastBuild(seen=6, failed=False)}))
    taken_away_and_given_back(shop)
    shop.learnt()
    assert [state.state for state in shop.states] == [ViewState.LEARNING]
    assert shop.builds.running is None


def test_a_bank_whose_abort_was_none_is_promoted_once(shop: Shop) -> None:
    """The broker had committed it, but its word was lost: the state that names it is there already."""
    shop.frames(6)
    shop.learnt()
    shop.frames(10)
    shop.teacher.look_after_builds()
    data = bank_file(created_at="2026-05-05T12:00:00.000+00:00")
    in_force = BankStore(shop.hands.store, graph_hash=GRAPH, keep=2).put(data).bank
    shop.hands.flush()
    shop.hands.states = {VIEW: shop.states[-1].model_copy(update={"active": in_force, "epoch": 2})}
    taken_away_and_given_back(shop)
    shop.started[-1].gives(data)
    shop.teacher.look_after_builds()
    shop.teacher.look_after_builds()
    assert [state.epoch for state in shop.states] == [0, 1]
    assert len(shop.started) == 2
