"""Frames from clients that compress: other programs send them, with codecs that are not installed here."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.readers import WholeTopicReader
from tests.ingest.kafka.streams import topics_made

if TYPE_CHECKING:
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("codec", ["lz4", "snappy", "zstd"])
def test_a_compressed_frame_is_read_as_it_was_sent(kafka_broker: KafkaBroker, codec: str) -> None:
    """By Kafka's own producer; without the broker's help kafka-python would refuse to read the partition for ever."""
    settings = topics_made(kafka_broker.settings())
    topic = settings.topic("frames")
    sent = [*kafka_broker._java(), "org.apache.kafka.tools.ConsoleProducer", "--topic", topic]
    options = ["--bootstrap-server", kafka_broker.bootstrap_servers, "--compression-codec", codec]
    subprocess.run(
        [*sent, *options, "--property", "parse.key=true", "--property", "key.separator=:"],
        input=b"line-1/camera-1:" + b"x" * 5000 + b"\n",
        capture_output=True,
        check=True,
        timeout=60,
        cwd=kafka_broker.folder,
    )
    with WholeTopicReader.open(settings, topics=[topic]) as reader:
        assert [(each.key, each.value) for each in reader.read_to_end(20)] == [(b"line-1/camera-1", b"x" * 5000)]
