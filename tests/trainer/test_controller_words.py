"""Words on groups, frames and thresholds, from the message to the bank that follows it, on a trainer without Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.kafka.errors import BrokerUnreachable
from ingest.store import StoreFull
from softpatch.manifest import GoldenResult
from tests.trainer.annotated import found_group, place
from tests.trainer.fake_builds import PICTURES, BuildingTrainer
from tests.trainer.views import VIEW

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def trainer(tmp_path: Path) -> BuildingTrainer:
    """A trainer at its start."""
    return BuildingTrainer(tmp_path)


GROUP = found_group("g0000000a", offsets=(4, 2))
EXEMPLARS = "annotations/line-1%2Fcamera-1"


def with_a_group(trainer: BuildingTrainer) -> BuildingTrainer:
    """The trainer after a first bank whose build found a group."""
    trainer.send_frames(6)
    trainer.finish_build(groups=[GROUP])
    return trainer


def annotations(trainer: BuildingTrainer) -> list[tuple[str, str, int]]:
    """Id, label and frames of the view's annotations, as last published."""
    return [(each.id, each.label.value, each.frames) for each in trainer.states[-1].annotations]


def test_a_group_is_asked_once_answered_and_in_the_next_build(trainer: BuildingTrainer) -> None:
    """Group, question, word, build with the label, and the label in force."""
    with_a_group(trainer)
    assert trainer.kinds == ["built", "promoted", "group_found"]
    assert annotations(trainer) == [("g0000000a", "open", 2)]
    stored = trainer.collecting.store
    assert [stored.get(f"{EXEMPLARS}/g0000000a/{n}.frame") for n in (0, 1)] == [PICTURES[4], PICTURES[2]]
    shown = trainer.collecting.metrics.groups
    assert shown.labels(view=VIEW, label="open")._value.get() == 1

    trainer.word("group_defect", "w-1", annotation="g0000000a")
    assert trainer.events[3:] == [("labelled", "w-1", "I looked")]
    assert (
        shown.labels(view=VIEW, label="open")._value.get(),
        shown.labels(view=VIEW, label="defect")._value.get(),
    ) == (
        0,
        1,
    )
    trainer.controller.follow_builds()
    (order,) = trainer.started[1].order.annotations
    assert (order.id, order.label, order.frames) == (
        "g0000000a",
        "defect",
        (f"{EXEMPLARS}/g0000000a/0.frame", f"{EXEMPLARS}/g0000000a/1.frame"),
    )
    known = GROUP.model_copy(update={"label": "defect", "is_new": False, "frames": 3})
    trainer.finish_build("2026-05-04T12:00:01.000+00:00", groups=[known], golden=GoldenResult(right=1, wrong=["w-9"]))
    assert trainer.events[4:] == [("built", "w-1", "I looked"), ("promoted", "w-1", "I looked")]
    facts = trainer.whole_events[4].facts
    assert (facts["golden_right"], facts["golden_wrong"], facts["golden_wrong_ids"]) == (1, 1, "w-9")
    assert annotations(trainer) == [("g0000000a", "defect", 3)]


def test_a_word_on_a_frame_is_kept_built_with_and_taken_back(trainer: BuildingTrainer) -> None:
    """The frame is in the store before the state names it, and gone once no word is on it."""
    trainer.send_frames(6)
    trainer.finish_build()
    path = f"{EXEMPLARS}/w-1/0.frame"
    trainer.word("escaped_defect", "w-1", source=place(3))
    assert trainer.collecting.store.get(path) == PICTURES[3]
    trainer.controller.follow_builds()
    assert [each.frames for each in trainer.started[1].order.annotations] == [(path,)]
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    trainer.word("undo", "w-2", annotation="w-1")
    assert trainer.collecting.store.paths("annotations") == []
    trainer.controller.follow_builds()
    assert trainer.started[2].order.annotations == ()
    assert trainer.kinds == ["built", "promoted", "labelled", "built", "promoted", "label_removed"]


def test_a_state_never_names_a_frame_that_found_no_room(trainer: BuildingTrainer) -> None:
    """The word waits, and is taken once there is room."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.collecting.store.full = "annotations/"
    with pytest.raises(StoreFull):
        trainer.word("bad", "w-1", source=place(3))
    assert trainer.states[-1].annotations == ()
    trainer.collecting.store.full = None
    trainer.controller.follow_feedback()
    assert annotations(trainer) == [("w-1", "defect", 0)]


def test_a_group_whose_frames_find_no_room_is_asked_once_there_is(trainer: BuildingTrainer) -> None:
    """As after a crash between its frames and its state: the build is taken in again, and asks the same once."""
    trainer.send_frames(6)
    trainer.collecting.store.full = "g0000000a/1"
    with pytest.raises(StoreFull):
        trainer.finish_build(groups=[GROUP])
    assert trainer.kinds == []
    trainer.collecting.store.full = None
    trainer.controller.follow_builds()
    trainer.controller.follow_builds()
    assert trainer.kinds == ["built", "promoted", "group_found"]
    assert len(trainer.started) == 1


def test_a_frame_that_expired_is_refused_and_a_silent_broker_is_waited_for(trainer: BuildingTrainer) -> None:
    """The one is an answer, the other is none."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.kafka_frames.expired.add(2)
    trainer.word("bad", "w-1", source=place(2))
    assert trainer.events[-1] == (
        "feedback_refused",
        "w-1",
        "Kafka has no frame at frames:0:2: it expired, or never was",
    )
    trainer.kafka_frames.silent = True
    with pytest.raises(BrokerUnreachable):
        trainer.word("bad", "w-2", source=place(3))
    trainer.kafka_frames.silent = False
    trainer.controller.follow_feedback()
    assert trainer.events[-1][:2] == ("labelled", "w-2")
    counted = trainer.collecting.metrics.feedback
    assert [counted.labels(view=VIEW, verdict=each)._value.get() for each in ("done", "refused")] == [1, 1]
    assert trainer.states[-1].feedback_through == 2


def test_a_word_stops_the_build_that_does_not_know_it(trainer: BuildingTrainer) -> None:
    """Its bank would not have the word; the person who had asked for it learns that from the event."""
    with_a_group(trainer)
    trainer.command("rebuild", "c-1")
    trainer.controller.follow_builds()
    trainer.word("group_good", "w-1", annotation="g0000000a")
    assert trainer.started[1].killed
    assert trainer.events[3:] == [
        ("labelled", "w-1", "I looked"),
        ("build_failed", "c-1", "stopped by group_good of ana"),
    ]
    trainer.controller.follow_builds()
    assert [each.label for each in trainer.started[2].order.annotations] == ["good"]


def test_the_build_of_a_word_goes_ahead_of_all_others(trainer: BuildingTrainer) -> None:
    """Also of another view's that was requested before: somebody waits for it beside the line."""
    other = "line-2/camera-1"
    with_a_group(trainer)
    trainer.send_frames(6, view=other)
    trainer.command("rebuild", "c-1", view=other)
    trainer.word("group_good", "w-1", annotation="g0000000a")
    trainer.controller.follow_builds()
    assert (trainer.started[-1].order.view, trainer.started[-1].order.provenance["who"]) == (VIEW, "ana")


def test_a_first_bank_starts_anew_with_a_word(trainer: BuildingTrainer) -> None:
    """After a relearning the labels are known; what is said while the first bank is built must be in it."""
    with_a_group(trainer)
    trainer.command("relearn", "c-1")
    trainer.send_frames(6)
    trainer.controller.follow_builds()
    trainer.word("group_good", "w-1", annotation="g0000000a")
    assert trainer.started[-1].killed
    trainer.controller.follow_builds()
    assert [each.label for each in trainer.started[-1].order.annotations] == ["good"]


def test_words_are_taken_in_order_and_once(trainer: BuildingTrainer) -> None:
    """Reading them again, as after a restart, changes nothing."""
    with_a_group(trainer)
    trainer.word("group_good", "w-1", annotation="g0000000a")
    trainer.word("undo", "w-2", annotation="g0000000a")
    events = trainer.events
    assert annotations(trainer) == [("g0000000a", "open", 2)]
    trainer.words_sent = 0
    trainer.word("group_good", "w-1", annotation="g0000000a")
    assert trainer.events == events


def test_a_threshold_that_a_person_asked_for_outlives_the_next_bank(trainer: BuildingTrainer) -> None:
    """It was lost with the next build. The build gets the ratio; its bank comes into force by it, with the band."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.command("set_threshold", "c-1", false_reject_ratio=0.1)
    asked = trainer.states[-1]
    assert asked.active is not None
    assert (asked.false_reject_ratio, asked.threshold_from) == (0.1, "ana: to see")
    trainer.command("set_threshold", "c-2", false_reject_ratio=0.1, low_limit=0.6, high_limit=3.0)
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    assert trainer.started[1].order.settings.false_reject_ratio == 0.1
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    after = trainer.states[-1]
    assert after.active is not None
    assert after.active.version != asked.active.version
    assert after.active.threshold == asked.active.threshold
    assert after.active.low_limit == pytest.approx(0.6)
    assert (after.false_reject_ratio, after.undecided_band) == (0.1, trainer.states[-2].undecided_band)


def test_a_threshold_that_is_set_while_a_build_runs_is_that_of_its_bank(trainer: BuildingTrainer) -> None:
    """The build was ordered with the ratio before."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.send_frames(10)
    trainer.controller.follow_builds()
    trainer.command("set_threshold", "c-1", false_reject_ratio=0.1)
    asked = trainer.states[-1].active
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    after = trainer.states[-1].active
    assert asked is not None
    assert after is not None
    assert (after.version != asked.version, after.threshold) == (True, asked.threshold)


def test_a_threshold_given_as_a_distance_is_kept_as_what_it_means(trainer: BuildingTrainer) -> None:
    """The next bank has distances of its own: what lasts is the share of good parts, there and back the same."""
    trainer.send_frames(6)
    trainer.finish_build()
    trainer.command("set_threshold", "c-1", threshold=1.2)
    asked = trainer.states[-1]
    trainer.send_frames(10)
    trainer.finish_build("2026-05-04T12:00:01.000+00:00")
    after = trainer.states[-1]
    assert asked.active is not None
    assert after.active is not None
    assert asked.active.threshold == 1.2
    assert after.active.threshold == pytest.approx(1.2, rel=1e-3)
    trainer.command("set_threshold", "c-2", by_settings=True)
    again = trainer.states[-1]
    assert again.active is not None
    assert (again.active.threshold, again.false_reject_ratio, again.threshold_from) == (2.0, None, None)


def test_a_build_says_what_mode_the_frames_of_the_window_have(trainer: BuildingTrainer) -> None:
    """Those of a group of whole frames, as far as a second mode may fill the window: here one of six."""
    trainer.send_frames(6)
    trainer.finish_build(groups=[found_group("g0000000b", offsets=(5, 4), whole_frame=True)])
    view = trainer.collecting.views.get(VIEW)
    assert view is not None
    assert [(each.offset, each.mode) for each in view.index.frames] == [
        *((offset, None) for offset in range(4)),
        (5, "g0000000b"),
    ]
    trainer.collecting.flush()
    assert "0-4.frame" not in trainer.collecting.frame_files()
