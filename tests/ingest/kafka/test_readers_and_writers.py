"""Whole-topic reading and plain sending: one suite for both brokers; what only a real Kafka can show stands below."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from kafka.admin import KafkaAdminClient

from ingest.kafka.errors import SendFailed, TopicMissing
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Partition, Work
from ingest.kafka.settings import KafkaSettings
from ingest.kafka.writers import KafkaSender
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
    from deploy.local_stack.embedded_broker import EmbeddedBroker
    from tests.brokers import KafkaBroker


@pytest.fixture(
    params=[pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("embedded", marks=pytest.mark.embedded)]
)
def settings(request: pytest.FixtureRequest) -> KafkaSettings:
    """A fresh set of topics on each broker."""
    broker: KafkaBroker | EmbeddedBroker = request.getfixturevalue(f"{request.param}_broker")
    return topics_made(fresh(broker))


def fresh(broker: KafkaBroker | EmbeddedBroker) -> KafkaSettings:
    """Settings whose topic prefix nobody used before."""
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=f"r{time.monotonic_ns()}.",
        request_timeout_seconds=5,
    )


def test_a_record_comes_back_as_it_was_sent(settings: KafkaSettings) -> None:
    """Key, value and headers are bytes and stay what they are, in order; the place is the one the sender was told."""
    topic = settings.topic("frames")
    outgoing = Outgoing(topic, b"line/cam", b"\x00\xff" * 10, (("sequence", b"7"), ("note", "ü".encode()), ("e", b"")))
    with KafkaSender.open(settings, writes=(topic,)) as sender:
        sent = sender.send_and_wait(outgoing)
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        (record,) = reader.read_to_end(10)
    assert (record.key, record.value, record.headers) == (outgoing.key, outgoing.value, outgoing.headers)
    assert (Partition(record.topic, record.partition), record.offset) == (sent.partition, sent.offset)
    assert record.claim is None


def test_a_tombstone_has_no_value(settings: KafkaSettings) -> None:
    """No value and an empty value are two things."""
    topic = settings.topic("banks")
    with KafkaSender.open(settings) as sender:
        sender.send(Outgoing(topic, b"view", None))
        sender.send(Outgoing(topic, b"view", b""))
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        assert [record.value for record in reader.read_to_end(10)] == [None, b""]


def test_a_reader_knows_when_it_has_caught_up_and_then_follows(settings: KafkaSettings) -> None:
    """An empty topic is caught up at once; what comes later is read, and changes nothing about having caught up."""
    topics = [settings.topic("commands"), settings.topic("feedback")]
    with WholeTopicReader.open(settings, topics=topics) as empty:
        assert empty.caught_up
    with KafkaSender.open(settings) as sender:
        for number in range(5):
            sender.send(Outgoing(topics[number % 2], b"view", str(number).encode()))
        sender.flush(10)
        with WholeTopicReader.open(settings, topics=topics) as reader:
            assert not reader.caught_up
            assert sorted(record.value or b"" for record in reader.read_to_end(10)) == [b"0", b"1", b"2", b"3", b"4"]
            assert reader.caught_up
            sender.send_and_wait(Outgoing(topics[0], b"view", b"later"))
            later = []
            wait_until(lambda: bool(later), seconds=10, doing=lambda: later.extend(reader.poll(0.2)))
            assert [record.value for record in later] == [b"later"]
            assert reader.caught_up


def test_a_reader_can_start_behind_what_it_knows(settings: KafkaSettings) -> None:
    """Only the partitions that are named start elsewhere than at their beginning."""
    topic = settings.topic("commands")
    with KafkaSender.open(settings) as sender:
        for number in range(5):
            sender.send_and_wait(Outgoing(topic, b"view", str(number).encode()))
    with WholeTopicReader.open(settings, topics=[topic], starts={Partition(topic, 0): 3}) as reader:
        assert [record.value for record in reader.read_to_end(10)] == [b"3", b"4"]


def test_what_the_loop_commits_is_read_to_its_end(settings: KafkaSettings) -> None:
    """Transaction markers take offsets but are no records: a reader gets past them, and every answer is there once."""
    sources = send_numbered(settings, range(20))
    with open_loop(settings) as loop:
        answer_all(settings, loop, 20)
    assert answered(settings) == once(sources)


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        # Published with Kafka's own test of its hash (UtilsTest.testMurmur2).
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_lands_where_every_kafka_client_puts_it(settings: KafkaSettings, key: bytes, murmur2: int) -> None:
    """Cameras in other languages share our partitions."""
    with KafkaSender.open(settings) as sender:
        sent = sender.send_and_wait(Outgoing(settings.topic("frames"), key, b"x"))
    assert sent.partition.partition == (murmur2 & 0x7FFFFFFF) % settings.partitions


def test_a_record_that_is_too_large_is_a_failure_with_a_name(settings: KafkaSettings) -> None:
    """The sender says so at once, and later records still go."""
    topic = settings.topic("frames")
    with KafkaSender.open(settings) as sender:
        with pytest.raises(SendFailed, match="MessageSizeTooLarge"):
            sender.send(Outgoing(topic, b"k", bytes(settings.max_message_bytes + 1)))
        assert sender.send_and_wait(Outgoing(topic, b"k", b"small")).offset == 0


def test_a_reader_names_a_missing_topic(settings: KafkaSettings) -> None:
    """And says how to make it."""
    with pytest.raises(
        TopicMissing, match=r"^missing topics: nothing-here; create them with `patchline topics create`$"
    ):
        WholeTopicReader.open(settings, topics=["nothing-here"])


@pytest.mark.kafka
def test_a_sender_names_a_missing_topic(kafka_broker: KafkaBroker) -> None:
    """The embedded broker would make it, with partitions of its own choice."""
    short = fresh(kafka_broker).model_copy(update={"request_timeout_seconds": 1.0})
    with pytest.raises(TopicMissing, match=r"^missing topics: nothing-here"):
        KafkaSender.open(short, writes=("nothing-here",))


@pytest.mark.kafka
def test_a_record_the_broker_refuses_is_never_silent(kafka_broker: KafkaBroker) -> None:
    """10 MiB is the limit of `frames`: what our own limit lets pass and the broker refuses comes back as a failure."""
    settings = topics_made(fresh(kafka_broker))
    sender = KafkaSender.open(settings)
    sender.send(Outgoing(settings.topic("frames"), b"k", bytes(11 * 1024 * 1024)))
    with pytest.raises(SendFailed, match="MessageSizeTooLarge"):
        sender.close()


@pytest.mark.kafka
def test_frames_carry_the_time_of_the_broker(kafka_broker: KafkaBroker) -> None:
    """Deadlines are measured from the append, whatever clock a camera has."""
    settings = topics_made(fresh(kafka_broker))
    before = time.time()
    send_numbered(settings, range(1))
    with WholeTopicReader.open(settings, topics=[settings.topic("frames")]) as reader:
        (record,) = reader.read_to_end(10)
    assert record.timestamp_type == "log_append_time"
    assert before - 1 <= record.timestamp_ms / 1000 <= time.time() + 1


@pytest.mark.kafka
def test_an_aborted_record_is_skipped_and_the_reader_still_catches_up(kafka_broker: KafkaBroker) -> None:
    """The end of a topic may be an aborted record: it is not shown, and not waited for."""
    settings = topics_made(fresh(kafka_broker))
    send_numbered(settings, range(4), cameras=1)
    with open_loop(settings) as loop:
        works = [answer(settings, record) for record in polled(loop, 4)]
        loop.commit(works[:3])
        huge = Outgoing(settings.topic("decisions"), b"k", bytes(settings.max_message_bytes + 1))
        with pytest.raises(Exception, match="refuses this transaction"):
            loop.commit([works[3], Work(works[3].claim, works[3].next_offset, (huge,))])
        assert sum(answered(settings).values()) == 3


@pytest.mark.kafka
def test_a_compacted_topic_is_read_whole(kafka_broker: KafkaBroker) -> None:
    """After compaction the last state of every view is still there, and holes in the offsets do not stop the reader."""
    settings = fresh(kafka_broker)
    topic = settings.topic("banks")
    admin = KafkaAdminClient(bootstrap_servers=[settings.bootstrap_servers])
    quickly = {"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01"}
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, "configs": quickly}})
    admin.close()
    with KafkaSender.open(settings, writes=(topic,)) as sender:
        for number in range(40):
            sender.send(Outgoing(topic, f"view-{number % 4}".encode(), str(number).encode()))
        sender.flush(10)
        sizes: list[int] = []

        def read_again() -> None:
            sender.send_and_wait(Outgoing(topic, b"view-last", b"rolls the segment"))
            time.sleep(0.6)
            with WholeTopicReader.open(settings, topics=[topic]) as reader:
                records = reader.read_to_end(10)
            sizes.append(len([record for record in records if record.key != b"view-last"]))
            last = {record.key: record.value for record in records}
            assert [last[f"view-{view}".encode()] for view in range(4)] == [b"36", b"37", b"38", b"39"]

        wait_until(lambda: bool(sizes) and sizes[-1] < 40, seconds=30, doing=read_again)


def test_a_failure_that_was_told_is_not_told_again(kafka_broker: KafkaBroker) -> None:
    """The broker takes no 11 MiB: the records after it used to fail for it, and so did closing."""
    settings = topics_made(kafka_broker.settings(partitions=1))
    topic = settings.topic("frames")
    with KafkaSender.open(settings) as sender:
        with pytest.raises(SendFailed, match="MessageSizeTooLarge"):
            sender.send_and_wait(Outgoing(topic, b"line/camera", bytes(11 * 2**20)), 30)
        assert sender.send_and_wait(Outgoing(topic, b"line/camera", b"small"), 30).offset == 0
