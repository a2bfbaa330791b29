"""What is remembered when a partition comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from inference.assignment import Assignment
from inference.handoff_queue import HandoffQueue
from inference.history import History
from inference.settings import ViewInspection
from ingest.contract import SourceRecord
from ingest.decision import Decision, Reason, Verdict, decision_id
from ingest.frame import Frame
from ingest.kafka.connecting import Deadline
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.records import Partition, Record
from softpatch.images.input_faults import InputBaseline
from tests.inference.sample_bank import AT, VIEW, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from inference.assignment import AppendedAt

FRAMES = Partition("frames", 0)
APPENDED_MS = round(AT.timestamp() * 1000)


def at(offset: int, topic: str = "frames", partition: int = 0) -> SourceRecord:
    """A record of frames."""
    return SourceRecord(topic=topic, partition=partition, offset=offset)


def decided(
    frame_id: str, offset: int, *, first: int | None = None, topic: str = "frames", partition: int = 0
) -> Record:
    """The record of a decision on a frame, as an earlier owner of the partition wrote it."""
    decision = Decision(
        id=decision_id(VIEW, frame_id),
        view=VIEW,
        frame_id=frame_id,
        source=at(offset, topic, partition),
        verdict=Verdict.UNDECIDED,
        reason=Reason.LEARNING,
        appended_at=AT,
        decided_at=AT,
        duplicate_of=None if first is None else at(first),
    )
    return Record("decisions", 0, 3 * offset, 0, "create_time", b"line/cam", decision.to_bytes())


class Tail:
    """The last decisions, and how often they were read; `late` breaks off where time is up."""

    def __init__(self, *records: Record, late: bool = False) -> None:
        self.records = records
        self.late = late
        self.reads: list[tuple[list[int], float]] = []

    def __call__(self, partitions: Collection[int], seconds: float) -> Iterator[Record]:
        """Read it."""
        self.reads.append((sorted(partitions), seconds))
        yield from self.records
        if self.late:
            raise BrokerUnreachable("late")


def seen(history: History, frame_id: str, offset: int, *, tenure: int = 1) -> SourceRecord | None:
    """What the history takes a frame for a repeat of."""
    frame = Frame(view=VIEW, key="line/cam", frame_id=frame_id, encoded=b"", source=at(offset), appended_ms=0)
    return history.frame(frame, shown(), InputBaseline(), ViewInspection(), tenure=tenure).duplicate_of


def assigned(
    history: History,
    tail: Tail,
    offset: int | None,
    *,
    seconds: float = 30,
    appended_at: AppendedAt = lambda *_: APPENDED_MS,
) -> Mapping[Partition, int]:
    """Partition 0 comes, with its committed offset; returns where reading starts, where that is not the offset."""
    handoff = HandoffQueue(room_frames=1, room_bytes=1000)
    ownership = Assignment(handoff, history, tail, appended_at, grow_topics=lambda: None)
    return ownership.assigned({FRAMES: offset}, Deadline(seconds, clock=lambda: 0.0))


def test_what_others_decided_is_remembered_before_the_first_record() -> None:
    """Also what they knew to be a repeat: of its first record, though that is behind the tail."""
    history = History(remembered_frame_ids=10)
    assigned(history, Tail(decided("a", 5), decided("b", 6, first=2), decided("a", 7, first=5)), 8)
    assert [seen(history, each, 8 + n) for n, each in enumerate("abc")] == [at(5), at(2), None]


def test_no_more_is_remembered_than_the_setting_says() -> None:
    """With room for two, the newest two of the tail."""
    history = History(remembered_frame_ids=2)
    assigned(history, Tail(*(decided(each, offset) for offset, each in enumerate("abc"))), 3)
    assert [seen(history, each, 3 + n) for n, each in enumerate("bca")] == [at(1), at(2), None]


def test_a_partition_that_this_process_has_seen_through_is_not_read_again() -> None:
    """An abort gives all partitions anew, and nobody else decided meanwhile."""
    history, tail = History(remembered_frame_ids=10), Tail()
    assert assigned(history, tail, None) == {}
    seen(history, "b", 0)
    assigned(history, tail, None)
    assigned(history, tail, 1)
    assert len(tail.reads) == 1
    assigned(history, tail, 2)
    assert len(tail.reads) == 2


def test_what_this_process_knew_is_kept_beside_what_others_decided() -> None:
    """It saw "a", another process saw "b": both are repeats."""
    history = History(remembered_frame_ids=10)
    seen(history, "a", 0)
    assigned(history, Tail(decided("b", 1)), 2)
    assert [seen(history, each, 2 + n, tenure=2) for n, each in enumerate("ab")] == [at(0), at(1)]


def test_a_tail_that_comes_late_or_holds_something_else_is_not_waited_for() -> None:
    """What was read is remembered, and the partition is decided."""
    history, other = History(remembered_frame_ids=10), Record("decisions", 0, 1, 0, "create_time", b"k", b"no decision")
    tail = Tail(other, decided("a", 5), late=True)
    assigned(history, tail, 8, seconds=2)
    assert seen(history, "a", 8) == at(5)
    assert tail.reads == [([0], 2.0)]


def test_without_a_committed_offset_the_decisions_say_where_to_go_on() -> None:
    """Kafka forgets the offsets of a group that was away for a week: every frame it still had was decided twice."""
    history = History(remembered_frame_ids=10)
    assert assigned(history, Tail(decided("a", 5), decided("b", 6)), None) == {FRAMES: 7}
    assert seen(history, "b", 7) == at(6)


def test_decisions_on_another_topic_in_the_same_partition_are_those_of_another_partition() -> None:
    """Partition 0 of every topic of frames has its answers in partition 0 of decisions: each goes on behind its own."""
    there, tail = Partition("cell-4", 0), Tail(decided("a", 5), decided("a", 8, topic="cell-4"), decided("b", 6))
    history = History(remembered_frame_ids=10)
    asked: list[tuple[Partition, int]] = []

    def appended_at(partition: Partition, offset: int, _: float) -> int:
        asked.append((partition, offset))
        return APPENDED_MS

    ownership = Assignment(
        HandoffQueue(room_frames=1, room_bytes=1000), history, tail, appended_at, grow_topics=lambda: None
    )
    starts = ownership.assigned({FRAMES: None, there: None}, Deadline(30, clock=lambda: 0.0))
    assert starts == {FRAMES: 7, there: 9}
    assert tail.reads == [([0], 5.0)]
    assert asked == [(FRAMES, 6), (there, 8)]
    assert seen(history, "a", 7) == at(5)


def test_a_partition_that_no_late_decision_names_is_read_from_its_beginning_and_that_is_said() -> None:
    """A topic that was added, or a quiet one whose answers lie far behind another's; a first start says nothing."""
    there, history = Partition("cell-4", 0), History(remembered_frame_ids=10)
    said: list[object] = []
    for tail in (Tail(decided("a", 5)), Tail(decided("a", 5, partition=1)), Tail()):
        ownership = Assignment(
            HandoffQueue(room_frames=1, room_bytes=1000), history, tail, lambda *_: None, grow_topics=lambda: None
        )
        with capture_logs() as logs:
            assert ownership.assigned({there: None}, Deadline(30, clock=lambda: 0.0)) == {}
        said.append([each["partitions"] for each in logs if each["event"] == "partitions_read_from_the_beginning"])
    assert said == [[["cell-4-0"]], [], []]


def unreachable(*_: float) -> int:
    """No broker."""
    raise BrokerUnreachable("gone")


@pytest.mark.parametrize("appended_at", [lambda *_: None, lambda *_: APPENDED_MS + 1, unreachable])
def test_a_topic_made_anew_is_read_from_its_beginning(appended_at: AppendedAt) -> None:
    """The frame that was decided last is not there, or another one is: none of the new ones may be passed over."""
    assert assigned(History(remembered_frame_ids=10), Tail(decided("a", 5)), None, appended_at=appended_at) == {}


def test_topics_of_answers_are_looked_at_when_a_higher_partition_comes() -> None:
    """At the start, and when frames has grown; not at every rebalance."""
    grown: list[int] = []
    handoff, history = HandoffQueue(room_frames=1, room_bytes=1000), History(remembered_frame_ids=10)
    ownership = Assignment(handoff, history, Tail(), lambda *_: None, grow_topics=lambda: grown.append(1))
    for partitions in ([0], [0], [1], [], [0, 5], [4]):
        ownership.assigned({Partition("frames", each): 0 for each in partitions}, Deadline(30))
    assert len(grown) == 3
