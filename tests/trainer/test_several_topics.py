"""Frames of several topics in windows: what names a frame names its topic, where that is not the window's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.connecting import Deadline
from ingest.kafka.records import Claim, Partition
from ingest.store_layout import frame_path
from tests.trainer.fake_builds import BuildingTrainer
from tests.trainer.fake_loop import FRAMES, CollectingTrainer, record
from tests.trainer.kafka_line import picture
from tests.trainer.views import VIEW, source, window
from trainer.groups import frames_of
from trainer.window import Admission, Bounds, WindowIndex, admission, kept, passed, read_anew
from trainer.window_journal import journal_line, replayed

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.kafka.records import Record

OTHER = "plant-7.images"
THERE = Partition(OTHER, 0)
TOPICS = ("frames", OTHER)
ROOMY = Bounds(frames=100, bytes=10**9, span_frames=10**6)


def elsewhere(offset: int, *, at_ms: int = 0, key: bytes = VIEW.encode()) -> Record:
    """A frame in partition 0 of the other topic, at an offset that the first topic has, too."""
    return replace(
        record(offset, picture(100 + offset), key=key), topic=OTHER, claim=Claim(THERE, 1), timestamp_ms=at_ms
    )


def reading_both(folder: Path) -> CollectingTrainer:
    """A trainer that owns partition 0 of both topics."""
    trainer = CollectingTrainer(folder, topics=TOPICS)
    trainer.views.assigned({THERE: None}, Deadline(30))
    trainer.views.read_on(30)
    trainer.loop.claims[THERE] = Claim(THERE, 1)
    return trainer


def both_fed(trainer: CollectingTrainer, frames: int) -> None:
    """A camera whose key two topics hold: so many frames of each, in turn."""
    for offset in range(frames):
        trainer.take(record(offset, picture(offset)))
        trainer.take(elsewhere(offset))


def test_a_view_in_two_topics_is_learnt_once_in_the_order_it_is_read_and_noticed(tmp_path: Path) -> None:
    """Its frames have the same numbers and no ids of their own; none is taken for another."""
    trainer = reading_both(tmp_path)
    both_fed(trainer, 3)
    (view,) = trainer.views
    places = [(each.frame_id, each.topic) for each in view.index.frames]
    assert places[:4] == [("0-0", None), (f"{OTHER}-0-0", OTHER), ("0-1", None), (f"{OTHER}-0-1", OTHER)]
    assert trainer.frame_files() >= {"0-2.frame", f"{OTHER}-0-2.frame"}
    assert trainer.metrics.partition_changes._value.get() == 5


def test_after_a_restart_both_topics_go_on_where_they_were(tmp_path: Path) -> None:
    """Each by its own position; what is read again is known."""
    before = reading_both(tmp_path)
    both_fed(before, 3)
    before.take(record(3, picture(3)))
    before.flush()
    stored = before.windows.load(VIEW)
    after = reading_both(tmp_path)
    assert after.views.positions == {FRAMES: 4, THERE: 3}
    both_fed(after, 3)
    (view,) = after.views
    assert view.index == stored
    assert {work.claim.partition: work.next_offset for work in before.loop.committed} == {FRAMES: 4, THERE: 3}


def test_the_owner_of_the_partition_of_the_latest_frame_owns_the_view(tmp_path: Path) -> None:
    """The same number of another topic is another partition."""
    trainer = reading_both(tmp_path)
    both_fed(trainer, 2)
    trainer.take(elsewhere(2, key=b"line-1/camera-2"))
    trainer.views.revoked(frozenset({FRAMES}))
    assert {view.name for view in trainer.views} == {VIEW, "line-1/camera-2"}
    trainer.views.revoked(frozenset({THERE}))
    assert list(trainer.views) == []


def test_a_view_whose_topic_is_read_no_more_is_learnt_anew_from_another(tmp_path: Path) -> None:
    """Offsets of one mean nothing in the other; one that has moved goes on with its window."""
    before = reading_both(tmp_path)
    stayed = "line-1/camera-2"
    before.take(elsewhere(0, key=stayed.encode()))
    before.take(elsewhere(1))
    before.take(record(0, picture(0)))
    before.flush()
    after = CollectingTrainer(tmp_path)
    after.take(record(1, picture(1)))
    after.take(record(2, picture(2), key=stayed.encode()))
    assert {view.name: len(view.index.frames) for view in after.views} == {VIEW: 3, stayed: 1}


def test_both_topics_are_read_again_and_no_frame_is_learnt_twice(tmp_path: Path) -> None:
    """Both start at their beginning."""
    trainer = reading_both(tmp_path)
    both_fed(trainer, 2)
    (view,) = trainer.views
    trainer.publisher.read_again(view)
    view.change_window(read_anew(view.index))
    assert trainer.loop.read_again_from == [FRAMES, THERE]
    both_fed(trainer, 2)
    assert len(view.index.frames) == 4


def test_a_window_of_one_topic_is_written_as_before() -> None:
    """An older release reads it."""
    index = passed(window(3), source(3), counted=True)
    assert (index.home_partition, index.read_through) == (FRAMES, {FRAMES: 4})
    written = index.to_bytes().decode()
    assert "home_topic" not in written
    assert "elsewhere" not in written
    assert written.count('"topic"') == 1


def test_a_window_of_two_topics_is_read_as_it_was_written() -> None:
    """Whole, and by its journal."""
    first = window(2)
    frame = first.frames[0].model_copy(update={"topic": OTHER, "frame_id": "there", "number": 2})
    after = passed(kept(first, frame, ROOMY).index, source(70, partition=4, topic=OTHER), counted=False)
    assert after.read_through == {FRAMES: 2, THERE: 1, Partition(OTHER, 4): 71}
    assert after.home_partition == Partition(OTHER, 4)
    assert WindowIndex.from_bytes(after.to_bytes()) == after
    line = journal_line(first, after)
    assert line is not None
    back = passed(after, source(9), counted=False)
    again = journal_line(after, back)
    assert again is not None
    assert replayed(first.to_bytes(), line + again) == (back, 0)
    assert back.home_partition == FRAMES


@pytest.mark.parametrize(
    ("offset", "topic", "expected"),
    [
        (1, "frames", Admission.REPLAYED),
        (2, "frames", Admission.DUE),
        (0, OTHER, Admission.REPLAYED),
        (1, OTHER, Admission.DUE),
        (0, "third", Admission.DUE),
    ],
)
def test_what_was_read_is_known_of_each_topic(offset: int, topic: str, expected: Admission) -> None:
    """Two frames of the first, one of the other."""
    index = passed(window(2), source(0, topic=OTHER), counted=True)
    assert admission(index, source(offset, topic=topic), frame_id="new") is expected


def test_a_bank_says_of_each_frame_where_it_stands_in_kafka(tmp_path: Path) -> None:
    """With the topic, where that is not the window's."""
    trainer = BuildingTrainer(tmp_path)
    trainer.send_frames(6)
    view = trainer.collecting.views.get(VIEW)
    assert view is not None
    frame = view.index.frames[-1].model_copy(update={"topic": OTHER, "frame_id": "there"})
    view.change_window(view.index.model_copy(update={"frames": (*view.index.frames, frame)}))
    trainer.collecting.store.put(frame_path(VIEW, 0, 5, OTHER), picture(9))
    trainer.controller.follow_builds()
    order = trainer.started[0].order
    assert order.provenance["frames"]["0-5"] == [0, 5]
    assert order.provenance["frames"]["there"] == [0, 5, OTHER]
    found = frames_of(order)
    assert str(found["0-5"].source) == "frames:0:5"
    assert str(found["there"].source) == f"{OTHER}:0:5"
    assert found["there"].path.endswith(f"/{OTHER}-0-5.frame")
