"""More partitions of frames than of answers: they are added where that is allowed, and wrap around where not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kafka.admin import KafkaAdminClient
from kafka.errors import TopicAuthorizationFailedError

from ingest.kafka.connecting import client_options
from ingest.kafka.readers import tail_of
from ingest.kafka.records import Outgoing, Partition, Work
from ingest.kafka.topics import MissingPartitions, _grown, add_partitions, describe_topics
from ingest.kafka.writers import KafkaSender
from tests.ingest.kafka.streams import open_loop, polled, topics_made, wait_until

if TYPE_CHECKING:
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker


def widen(settings: KafkaSettings, topic: str, partitions: int) -> None:
    """As an administrator does, by hand."""
    with KafkaAdminClient(**client_options(settings)) as admin:
        admin.create_partitions({topic: partitions})


def partitions_of(settings: KafkaSettings, name: str) -> int:
    """How many a topic has."""
    (report,) = (each for each in describe_topics(settings) if each.name == settings.topic_prefix + name)
    return report.partitions


@pytest.mark.kafka
def test_the_answers_of_a_partition_that_decisions_lack_wrap_around_and_are_found_again(
    kafka_broker: KafkaBroker,
) -> None:
    """Inspection ended at the first frame of such a partition; whoever remembers frame ids looks there, too."""
    settings = topics_made(kafka_broker.settings(partitions=2))
    frames, decisions = settings.topic("frames"), settings.topic("decisions")
    widen(settings, frames, 5)
    with KafkaSender.open(settings) as sender:
        for number in range(5):
            sender.send_and_wait(Outgoing(frames, b"key", b"%d" % number, partition=number))
    with open_loop(settings) as loop:
        for each in polled(loop, 5):
            loop.commit([Work.of(each, (Outgoing(decisions, each.key, each.value, partition=each.partition),))])
    found = tail_of(settings, [Partition(decisions, 4)], last_offsets=100, timeout_seconds=20)
    assert sorted(each.value or b"" for each in found) == [b"0", b"2", b"4"]


@pytest.mark.kafka
def test_partitions_are_added_to_what_follows_frames(kafka_broker: KafkaBroker) -> None:
    """And to nothing else; topics that are wide enough stay."""
    settings = topics_made(kafka_broker.settings(partitions=2))
    assert add_partitions(settings) == []
    widen(settings, settings.topic("frames"), 5)
    wait_until(lambda: partitions_of(settings, "frames") == 5, seconds=30)
    assert add_partitions(settings) == []
    names = ("decisions", "frames.dead-letter", "banks")
    wait_until(lambda: [partitions_of(settings, name) for name in names] == [5, 5, 1], seconds=30)


@pytest.mark.kafka
def test_answers_follow_the_widest_of_several_topics_of_frames(kafka_broker: KafkaBroker) -> None:
    """All are made where they are missing, and none of frames grows because another one did."""
    prefix = kafka_broker.settings().topic_prefix
    settings = kafka_broker.settings(topic_prefix=prefix, partitions=2, more_frame_topics=(f"{prefix}cell-4",))
    topics_made(settings)
    widen(settings, f"{prefix}cell-4", 5)
    wait_until(lambda: partitions_of(settings, "cell-4") == 5, seconds=30)
    assert add_partitions(settings) == []
    names = ("decisions", "frames.dead-letter", "frames", "cell-4")
    wait_until(lambda: [partitions_of(settings, name) for name in names] == [5, 5, 2, 5], seconds=30)


def test_who_may_not_add_them_is_told_what_to_do() -> None:
    """In one sentence, with the command."""

    class Forbidding:
        def create_partitions(self, topics: dict[str, int]) -> Any:  # noqa: ANN401 -- as kafka-python's
            raise TopicAuthorizationFailedError(f"{topics}")

    missing = _grown(Forbidding(), "decisions", 2, 5)
    assert isinstance(missing, MissingPartitions)
    assert str(missing).startswith(
        "decisions has 2 partitions and a topic of frames 5: answers of several share one; "
        "add them (kafka-topics.sh --alter --topic decisions --partitions 5). "
    )
