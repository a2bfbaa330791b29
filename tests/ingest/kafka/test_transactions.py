"""The transaction loop on a real Apache Kafka: nothing lost, nothing twice."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove

from ingest.kafka.connecting import client_options
from ingest.kafka.errors import Aborted, Fenced, KafkaFailure, Refused, TopicMissing
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Claim, Outgoing, Partition, Work
from ingest.kafka.transactions import State, TransactionLoop, next_offsets
from tests.ingest.kafka.streams import (
    answer,
    answer_all,
    answered,
    once,
    open_loop,
    polled,
    send_numbered,
    topics_made,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ingest.kafka.connecting import Deadline
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka_broker: KafkaBroker) -> KafkaSettings:
    """A fresh set of topics."""
    return topics_made(kafka_broker.settings())


def test_every_record_is_answered_once_and_a_restart_goes_on_behind_it(settings: KafkaSettings) -> None:
    """A second process of the same instance starts at the committed offsets, not at the beginning."""
    sources = send_numbered(settings, range(40))
    with open_loop(settings) as loop:
        answer_all(settings, loop, 40)
    sources |= send_numbered(settings, range(40, 60))
    with open_loop(settings) as loop:
        records = polled(loop, 20)
        loop.commit([answer(settings, record) for record in records])
        assert loop.poll(0.5) == []
    assert {(record.partition, record.offset) for record in records} <= sources
    assert answered(settings) == once(sources)


def test_a_refused_transaction_leaves_no_trace_and_its_records_are_read_again(settings: KafkaSettings) -> None:
    """One record of the transaction is too large: the others stay invisible, and every record comes again."""
    sources = send_numbered(settings, range(12))
    with open_loop(settings) as loop:
        first = polled(loop, 12)
        works = [answer(settings, record) for record in first]
        huge = Outgoing(settings.topic("decisions"), b"k", bytes(settings.max_message_bytes + 1))
        with pytest.raises(Refused, match="Kafka refuses this transaction for good"):
            loop.commit([*works, replace(works[0], outgoing=(huge,))])
        assert answered(settings) == Counter()
        again = polled(loop, 12)
        assert {(r.partition, r.offset) for r in again} == {(r.partition, r.offset) for r in first}
        loop.commit([answer(settings, record) for record in again])
    assert answered(settings) == once(sources)


def test_works_of_before_an_abort_are_void(settings: KafkaSettings) -> None:
    """What was in flight when the transaction aborted must not commit beside its own second reading."""
    sources = send_numbered(settings, range(12))
    with open_loop(settings) as loop:
        stale = [answer(settings, record) for record in polled(loop, 12)]
        loop._membership = loop._membership._replace(generation_id=loop._membership.generation_id + 5)
        with pytest.raises(Aborted, match="CommitFailedError"):
            loop.commit(stale)
        assert loop.state is State.JOINING
        fresh = [answer(settings, record) for record in polled(loop, 12)]
        outcome = loop.commit([*stale, *fresh])
        assert outcome.void == tuple(stale)
        assert outcome.done == tuple(fresh)
    assert answered(settings) == once(sources)


def test_offsets_of_an_aborted_transaction_do_not_come_back_with_the_next(settings: KafkaSettings) -> None:
    """kafka-python kept them: a zombie's first good commit set back a partition that another member had finished."""
    send_numbered(settings, range(24))
    with open_loop(settings) as loop:
        works = [answer(settings, record) for record in polled(loop, 24)]
        loop._membership = loop._membership._replace(generation_id=loop._membership.generation_id + 5)
        with pytest.raises(Aborted):
            loop.commit(works)
        fresh = [answer(settings, record) for record in polled(loop, 24)]
        only = fresh[0].claim.partition
        loop.commit([work for work in fresh if work.claim.partition == only])
        others = {work.claim.partition for work in fresh} - {only}
        assert others
        committed = {each: loop._consumer.committed(TopicPartition(*each)) for each in others}
    assert committed == dict.fromkeys(others)


def test_a_second_process_of_the_same_instance_fences_the_first(settings: KafkaSettings) -> None:
    """The zombie cannot commit what it has read, says so once and for all, and its successor answers everything."""
    sources = send_numbered(settings, range(12))
    zombie = open_loop(settings)
    works = [answer(settings, record) for record in polled(zombie, 12)]
    with open_loop(settings) as successor:
        answer_all(settings, successor, 12)
        with pytest.raises(Fenced, match="another process took over instance id '0'"):
            zombie.commit(works)
        with pytest.raises(Fenced, match="exit the process"):
            zombie.poll(0)
        assert zombie.state is State.FENCED
    zombie.close()
    assert answered(settings) == once(sources)


def test_a_partition_that_moved_takes_its_work_with_it(settings: KafkaSettings) -> None:
    """Works in flight for a revoked partition are left out of the commit; the new owner answers their records."""
    sources = send_numbered(settings, range(60))
    first = open_loop(settings)
    works = [answer(settings, record) for record in polled(first, 60)]
    with second_member(settings) as second:
        wait_until(lambda: len(first.claims) == 3, seconds=30, doing=lambda: first.poll(0.1, room=0))
        wait_until(lambda: len(second.claims) == 3, seconds=30, doing=lambda: first.poll(0.1, room=0))
        outcome = first.commit(works)
        moved = {work.claim.partition for work in outcome.void}
        assert moved <= second.claims.keys()
        assert {work.claim.partition for work in outcome.done}.isdisjoint(second.claims)
        wait_until(lambda: sum(answered(settings).values()) >= 60, seconds=30, doing=lambda: first.poll(0.1, room=0))
    first.close()
    assert answered(settings) == once(sources)


@contextmanager
def second_member(settings: KafkaSettings) -> Iterator[TransactionLoop]:
    """Another instance that answers whatever it is given, in a thread of its own, as loops must."""
    loop, stop = open_loop(settings.model_copy(update={"instance_id": "1"})), threading.Event()

    def answer_on() -> None:
        while not stop.is_set():
            with suppress(Aborted):
                loop.commit([answer(settings, record) for record in loop.poll(0.1)])

    thread = threading.Thread(target=answer_on)
    thread.start()
    try:
        yield loop
    finally:
        stop.set()
        thread.join(20)
        loop.close()


def test_without_room_nothing_is_fetched_and_nothing_is_lost(settings: KafkaSettings) -> None:
    """Back-pressure holds records back in Kafka, in order, while the membership goes on."""
    send_numbered(settings, range(30), cameras=1)
    with open_loop(settings) as loop:
        head = polled(loop, 5)
        assert [loop.poll(0.1, room=0) for _ in range(5)] == [[]] * 5
        assert len(loop.claims) == 6
        tail = polled(loop, 25)
    assert [record.offset for record in head + tail] == list(range(30))


def test_never_more_records_than_there_is_room(settings: KafkaSettings) -> None:
    """A bounded queue behind the loop cannot overflow."""
    send_numbered(settings, range(30))
    with open_loop(settings) as loop:
        sizes: list[int] = []
        wait_until(lambda: sum(sizes) == 30, seconds=30, doing=lambda: sizes.append(len(loop.poll(0.2, room=4))))
    assert max(sizes) <= 4


class _OwnBooks:
    """An owner that knows by itself where to start, as the trainer's window index does."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.told: list[str] = []

    def assigned(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> Mapping[Partition, int]:
        assert not deadline.passed
        self.told.append("assigned")
        return dict.fromkeys(partitions, self.start)

    def revoked(self, partitions: frozenset[Partition]) -> None:
        assert partitions
        self.told.append("revoked")


def test_an_owner_with_books_of_its_own_decides_where_reading_starts(settings: KafkaSettings) -> None:
    """Its offsets win over Kafka's, whatever was committed meanwhile."""
    send_numbered(settings, range(10), cameras=1)
    books = _OwnBooks(start=4)
    with open_loop(settings, ownership=books) as loop:
        works = [answer(settings, record) for record in polled(loop, 6)]
        assert [work.next_offset for work in works] == [5, 6, 7, 8, 9, 10]
        loop.commit(works[:2])
    books.start = 8
    with open_loop(settings, ownership=books) as loop:
        assert [record.offset for record in polled(loop, 2)] == [8, 9]
    assert books.told == ["assigned", "assigned"]


def test_an_owner_is_asked_again_after_an_abort(settings: KafkaSettings) -> None:
    """All partitions are revoked, then assigned anew, and reading restarts where the owner says."""
    send_numbered(settings, range(10), cameras=1)
    books = _OwnBooks(start=4)
    with open_loop(settings, ownership=books) as loop:
        works = [answer(settings, record) for record in polled(loop, 6)]
        loop._membership = loop._membership._replace(generation_id=loop._membership.generation_id + 5)
        with pytest.raises(Aborted):
            loop.commit(works)
        books.start = 7
        assert [record.offset for record in polled(loop, 3)] == [7, 8, 9]
    assert books.told == ["assigned", "revoked", "assigned"]


def test_a_member_that_the_group_forgot_takes_nothing_over_before_it_has_joined_anew(settings: KafkaSettings) -> None:
    """kafka-python believes in its old membership until a heartbeat; an owner asked then would act beside its heir."""
    send_numbered(settings, range(10), cameras=1)
    books = _OwnBooks(start=4)
    with open_loop(settings, ownership=books) as loop:
        works = [answer(settings, record) for record in polled(loop, 6)]
        forgotten = loop._membership.member_id
        with closing(KafkaAdminClient(**client_options(settings))) as admin:
            admin.remove_group_members(
                settings.group(settings.inference_group), [MemberToRemove(group_instance_id=settings.instance_id)]
            )
        with pytest.raises(Aborted, match="UnknownMemberIdError"):
            loop.commit(works)
        assert len(polled(loop, 6)) == 6
        assert loop._membership.member_id != forgotten
    assert books.told == ["assigned", "revoked", "assigned"]


def test_a_record_of_neither_key_nor_value_is_answered(settings: KafkaSettings) -> None:
    """Its dead letter has neither, too; kafka-python raised ValueError, and every restart met the record again."""
    send_numbered(settings, range(1), cameras=1)
    dead_letters = settings.topic("frames.dead-letter")
    with open_loop(settings) as loop:
        (record,) = polled(loop, 1)
        loop.commit([Work.of(record, (Outgoing(dead_letters, None, None, partition=0),))])
    with WholeTopicReader.open(settings, topics=[dead_letters]) as reader:
        assert [(each.key, each.value) for each in reader.read_to_end(20)] == [(None, b"")]


def test_work_without_output_moves_the_offset(settings: KafkaSettings) -> None:
    """A record that needs no answer is still done."""
    send_numbered(settings, range(5), cameras=1)
    with open_loop(settings) as loop:
        loop.commit([Work.of(record) for record in polled(loop, 5)])
    with open_loop(settings) as loop:
        wait_until(lambda: len(loop.claims) == 6, seconds=20, doing=lambda: loop.poll(0.1))
        assert loop.poll(0.5) == []
    assert answered(settings) == Counter()


def test_a_partition_that_is_read_again_comes_from_its_beginning_under_a_new_claim(settings: KafkaSettings) -> None:
    """What was read of it before is void; what is committed then is what is read after a restart."""
    send_numbered(settings, range(5), cameras=1)
    with open_loop(settings) as loop:
        before = polled(loop, 5)
        loop.commit([Work.of(record) for record in before[:3]])
        partition = Partition(before[0].topic, before[0].partition)
        loop.read_again(partition)
        loop.read_again(Partition("another topic", 0))
        assert loop.commit([Work.of(before[4])]).done == ()
        again = polled(loop, 5)
        assert [record.offset for record in again] == [record.offset for record in before]
        assert {record.claim for record in again} == {loop.claims[partition]}
        loop.commit([Work.of(again[0])])
    with open_loop(settings) as loop:
        assert [record.offset for record in polled(loop, 4)] == [record.offset for record in before[1:]]


def test_a_missing_topic_says_how_to_make_it(kafka_broker: KafkaBroker) -> None:
    """A newcomer's first mistake is one sentence, not an endless wait."""
    settings = kafka_broker.settings(topic_prefix="nobody-made.")
    with pytest.raises(
        TopicMissing, match=r"^missing topics: nobody-made\.frames, nobody-made\.decisions; create them"
    ):
        open_loop(settings)


def test_a_closed_loop_cannot_be_used(settings: KafkaSettings) -> None:
    """Closing twice is fine; polling afterwards is a mistake with a name."""
    loop: TransactionLoop = open_loop(settings)
    loop.close()
    loop.close()
    with pytest.raises(KafkaFailure, match="this loop is closed"):
        loop.poll(0)


def test_the_next_offset_is_the_highest_of_a_partition() -> None:
    """Works may come in any order."""
    one, two = Claim(Partition("t", 0), 1), Claim(Partition("t", 1), 1)
    assert next_offsets([Work(one, 5), Work(two, 9), Work(one, 3)]) == {one.partition: 5, two.partition: 9}
