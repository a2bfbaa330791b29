"""Settings of topics that hurt, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.kafka.topic_harms import TopicFacts, harms

if TYPE_CHECKING:
    from ingest.kafka.settings import TopicName

WELL = {
    "message.timestamp.type": "LogAppendTime",
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "max.message.bytes": "10485760",
    "compression.type": "producer",
}
FRAMES = TopicFacts("frames", 6, WELL)


def topic(name: TopicName, *, partitions: int = 6, **changes: str) -> TopicFacts:
    """A topic that is well but for the changes."""
    return TopicFacts(name, partitions, WELL | {each.replace("_", "."): value for each, value in changes.items()})


@pytest.mark.parametrize(
    ("hurting", "words"),
    [
        (topic("frames", message_timestamp_type="CreateTime"), "message.timestamp.type=LogAppendTime"),
        (topic("frames", cleanup_policy="compact,delete"), "cleanup.policy=delete"),
        (topic("frames", retention_ms="60000"), "deleted after 60 s"),
        (topic("decisions", partitions=2), "--partitions 6"),
        (topic("decisions", max_message_bytes="100000"), "max.message.bytes=1048576"),
        (topic("frames.dead-letter"), "max.message.bytes=11534336"),
        (topic("banks"), "cleanup.policy=compact"),
        (topic("banks", cleanup_policy="compact,delete"), "cleanup.policy=compact"),
        (topic("commands", cleanup_policy="compact"), "cleanup.policy=delete"),
        (topic("decisions", cleanup_policy="delete,compact"), "cleanup.policy=delete"),
        (topic("drift-events"), "retention.ms=-1"),
        (topic("feedback"), "retention.ms=-1"),
        (topic("bank-events"), "retention.ms=-1"),
    ],
    ids=lambda value: value.name if isinstance(value, TopicFacts) else None,
)
def test_a_setting_that_hurts_is_named_with_what_to_set(hurting: TopicFacts, words: str) -> None:
    """One sentence each."""
    (sentence,) = harms(hurting, [FRAMES], deadline_seconds=5)
    assert words in sentence


@pytest.mark.parametrize(
    "well",
    [
        FRAMES,
        topic("frames", retention_ms="-1"),
        topic("decisions", partitions=12),
        topic("frames.dead-letter", max_message_bytes="12582912"),
        topic("banks", cleanup_policy="compact"),
        topic("feedback", retention_ms="-1"),
        topic("commands"),
    ],
    ids=lambda value: value.name,
)
def test_what_does_not_hurt_is_not_named(well: TopicFacts) -> None:
    """Any codec is read, and more than enough is enough."""
    assert harms(well, [FRAMES], deadline_seconds=5) == ()


def test_a_long_deadline_asks_for_longer_retention() -> None:
    """Ten times as long as a frame may wait."""
    assert harms(topic("frames", retention_ms="3600000"), [FRAMES], deadline_seconds=5) == ()
    (sentence,) = harms(topic("frames", retention_ms="3600000"), [FRAMES], deadline_seconds=600)
    assert "retention.ms=6000000" in sentence


def test_answers_are_held_against_the_widest_and_the_largest_of_several_topics_of_frames() -> None:
    """Which need not be one and the same."""
    frames = [FRAMES, topic("frames", partitions=9, max_message_bytes="1000"), topic("frames", partitions=1)]
    (narrow,) = harms(topic("decisions", partitions=6), frames, deadline_seconds=5)
    assert "--partitions 9" in narrow
    small = topic("frames.dead-letter", partitions=9, max_message_bytes="10485760")
    (sentence,) = harms(small, frames, deadline_seconds=5)
    assert "max.message.bytes=11534336" in sentence
    (long_kept,) = harms(topic("frames", partitions=1, retention_ms="60000"), frames, deadline_seconds=5)
    assert "deleted after 60 s" in long_kept
