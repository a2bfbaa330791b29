"""The bounded handoff between the loop and the worker."""

from __future__ import annotations

import threading
from dataclasses import replace

from inference.handoff_queue import HandoffQueue
from inference.inspector import AnswerBatch, FrameAnswer, Queued
from ingest.contract import SourceRecord
from ingest.dead_letter import dead_letter_of
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Partition, Work
from tests.inference.sample_bank import AT, record


def queued(*offsets: int, partition: int = 0) -> list[Queued]:
    """Records waiting since the beginning of time."""
    return [Queued(record(offset, b"x", partition=partition), 0.0) for offset in offsets]


def answered(batch: list[Queued]) -> AnswerBatch:
    """Any answer to each."""
    return AnswerBatch(tuple(answer(each) for each in batch))


def answer(each: Queued) -> FrameAnswer:
    """A dead letter that names its record."""
    source = SourceRecord(topic="frames", partition=each.record.partition, offset=each.record.offset)
    letter = dead_letter_of(
        source=source, reason=DeadLetterReason.EMPTY, detail="", at=AT, key=b"k", value=None, headers=()
    )
    return FrameAnswer(Work.of(each.record), "", letter, 0.0)


def test_room_comes_back_when_the_loop_collects_not_when_the_worker_takes() -> None:
    """What is being scored, or scored and not committed, still holds memory."""
    handoff = HandoffQueue(room_frames=4, room_bytes=1000)
    handoff.accept(queued(0, 1, 2))
    assert handoff.room == 1
    batch = handoff.take(2)
    assert batch is not None
    assert (handoff.room, handoff.waiting) == (1, 1)
    handoff.answer(answered(batch))
    assert handoff.room == 1
    handoff.collect(0.0)
    assert (handoff.room, handoff.outstanding) == (3, 1)


def test_large_records_wait_by_their_bytes() -> None:
    """Those being scored count, too; room is reckoned by the largest of the last, and an idle worker has some."""
    handoff = HandoffQueue(room_frames=64, room_bytes=1000)
    handoff.accept([Queued(record(0, bytes(300)), 0.0), Queued(record(1, bytes(100)), 0.0)])
    assert handoff.room == 2
    handoff.accept([Queued(record(2, bytes(300)), 0.0), Queued(record(3, bytes(300)), 0.0)])
    batch = handoff.take(2)
    assert batch is not None
    assert handoff.room == 0
    handoff.answer(answered(batch))
    assert handoff.room == 0
    handoff.collect(0.0)
    assert handoff.room == 1
    tiny = HandoffQueue(room_frames=64, room_bytes=10)
    tiny.accept([Queued(record(0, bytes(300)), 0.0)])
    assert (tiny.room, tiny.drop([Partition("frames", 0)]), tiny.room) == (0, 1, 1)


def test_a_batch_is_what_waits_in_order_and_never_more_than_asked() -> None:
    """Nothing is awaited to fill it."""
    handoff = HandoffQueue(room_frames=10, room_bytes=1000)
    handoff.accept(queued(5, 6, 7))
    batches = [handoff.take(2), handoff.take(2)]
    assert [[each.record.offset for each in batch or []] for batch in batches] == [[5, 6], [7]]


def test_partitions_take_turns_and_keep_their_order() -> None:
    """A flood of one partition waits behind itself; within a partition the order is what commits go by."""
    handoff = HandoffQueue(room_frames=20, room_bytes=1000)
    handoff.accept(queued(0, 1, 2, 3, 4, 5) + queued(7, 8, partition=1) + queued(9, partition=2))
    taken = [[(each.record.partition, each.record.offset) for each in handoff.take(4) or []] for _ in range(3)]
    assert taken == [[(0, 0), (1, 7), (2, 9), (0, 1)], [(0, 2), (1, 8), (0, 3), (0, 4)], [(0, 5)]]
    assert (handoff.waiting, handoff.outstanding) == (0, 9)


def test_partitions_of_one_number_in_two_topics_take_turns_too() -> None:
    """A flood of one topic waits behind itself."""
    handoff = HandoffQueue(room_frames=20, room_bytes=1000)
    there = [replace(each, record=replace(each.record, topic="cell-4")) for each in queued(7, 8)]
    handoff.accept([*queued(0, 1, 2), *there])
    taken = [(each.record.topic, each.record.offset) for each in handoff.take(4) or []]
    assert taken == [("frames", 0), ("cell-4", 7), ("frames", 1), ("cell-4", 8)]


def test_dropped_partitions_lose_what_waits_and_keep_what_is_being_scored() -> None:
    """The batch in hand comes back; the commit will leave it out."""
    handoff = HandoffQueue(room_frames=10, room_bytes=1000)
    handoff.accept(queued(0, 1))
    batch = handoff.take(1)
    handoff.accept(queued(7, partition=1))
    assert handoff.drop([Partition("frames", 0)]) == 1
    assert (handoff.waiting, handoff.outstanding) == (1, 2)
    handoff.answer(answered(batch or []))
    assert [len(each.answers) for each in handoff.collect(0.0)] == [1]
    assert handoff.outstanding == 1


def test_an_answer_wakes_the_loop_and_the_end_wakes_the_worker() -> None:
    """Neither side sleeps through what it waits for."""
    handoff = HandoffQueue(room_frames=10, room_bytes=1000)
    taken: list[int | None] = []

    def work() -> None:
        while (batch := handoff.take(5)) is not None:
            handoff.answer(answered(batch))
        taken.append(None)

    worker = threading.Thread(target=work)
    worker.start()
    handoff.accept(queued(0))
    assert len(handoff.collect(10.0)) == 1
    handoff.close()
    worker.join(10.0)
    assert taken == [None]
