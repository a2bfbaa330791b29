"""Frames from clients that compress, and frames that the broker's disk has broken."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from kafka.admin import KafkaAdminClient

from ingest.kafka.connecting import client_options
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Unread
from ingest.kafka.writers import KafkaSender
from tests.ingest.kafka.streams import open_loop, polled, topics_made

if TYPE_CHECKING:
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka

CODECS = ["gzip", "lz4", "snappy", "zstd"]


def packed_topic(settings: KafkaSettings, *, codec: str = "producer") -> str:
    """A topic that somebody else made, with the codec that it keeps."""
    topic = settings.topic("frames")
    with KafkaAdminClient(**client_options(settings)) as admin:
        configs = {"compression.type": codec}
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1, "configs": configs}})
        admin.wait_for_topics([topic])
    return topic


def sent_by_kafkas_own_producer(broker: KafkaBroker, topic: str, codec: str) -> tuple[bytes, bytes]:
    """One record of 5,000 bytes; returns its key and value."""
    command = [*broker._java(), "org.apache.kafka.tools.ConsoleProducer", "--topic", topic]
    options = ["--bootstrap-server", broker.bootstrap_servers, "--compression-codec", codec]
    subprocess.run(
        [*command, *options, "--property", "parse.key=true", "--property", "key.separator=:"],
        input=b"line-1/camera-1:" + b"x" * 5000 + b"\n",
        capture_output=True,
        check=True,
        timeout=60,
        cwd=broker.folder,
    )
    return b"line-1/camera-1", b"x" * 5000


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_frame_is_read_as_it_was_sent(kafka_broker: KafkaBroker, codec: str) -> None:
    """By Kafka's own producer, into a topic that keeps what it packed."""
    settings = kafka_broker.settings()
    topic = packed_topic(settings)
    sent = sent_by_kafkas_own_producer(kafka_broker, topic, codec)
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        assert [(each.key, each.value) for each in reader.read_to_end(20)] == [sent]


@pytest.mark.parametrize("codec", CODECS)
def test_a_broker_that_compresses_everything_is_read(kafka_broker: KafkaBroker, codec: str) -> None:
    """Even our own topics may be packed: `compression.type` is often a broker's default."""
    settings = kafka_broker.settings()
    topic = packed_topic(settings, codec=codec)
    with KafkaSender.open(settings) as sender:
        sender.send_and_wait(Outgoing(topic, b"key", b"y" * 5000))
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        assert [(each.key, each.value) for each in reader.read_to_end(20)] == [(b"key", b"y" * 5000)]


def flip(broker: KafkaBroker, topic: str, partition: int, marker: bytes) -> None:
    """Flip one bit of the broker's disk, in the record that holds these bytes."""
    (segment,) = (broker.folder / "log").glob(f"{topic}-{partition}/*.log")
    at = segment.read_bytes().index(marker)
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(bytes([marker[0] ^ 1]))


def test_a_flipped_bit_costs_its_record_and_no_partition(kafka_broker: KafkaBroker) -> None:
    """The loop gives the others, and says which cannot be read; so does whoever reads the topic whole."""
    settings = topics_made(kafka_broker.settings(partitions=2))
    topic = settings.topic("frames")
    with KafkaSender.open(settings) as sender:
        for number in range(6):  # each waited for: a batch of its own
            sender.send_and_wait(Outgoing(topic, b"key", b"number %d" % number, partition=number % 2))
    flip(kafka_broker, topic, 0, b"number 2")
    with open_loop(settings) as loop:
        found = sorted((each.partition, each.offset, each.value, each.unread) for each in polled(loop, 6))
    broken = Unread(1, "the checksum of its batch does not match")
    assert found == [
        (0, 0, b"number 0", None),
        (0, 1, None, broken),
        (0, 2, b"number 4", None),
        (1, 0, b"number 1", None),
        (1, 1, b"number 3", None),
        (1, 2, b"number 5", None),
    ]
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        values = sorted(each.value or b"" for each in reader.read_to_end(20))
    assert values == [b"number %d" % number for number in (0, 1, 3, 4, 5)]
