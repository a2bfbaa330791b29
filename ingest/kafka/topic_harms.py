"""What a topic's settings do to those who use it: a topic that somebody else made may hurt in ways that no error shows.

Nothing is changed behind a person's back; each sentence says what happens and what to set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ingest.kafka.settings import TopicName

    Configs = Mapping[str, str | None]

LEAST_RETENTION_SECONDS = 3600.0
"""Of frames: an hour of an inspection that is down, and what a lost bank is learnt from anew."""
DEADLINES_KEPT = 10
LEAST_DECISION_BYTES = 500_000
"""A decision with the largest map takes less."""
KEPT = frozenset({"bank-events", "drift-events", "feedback"})
FOR_EVER = "-1"


@dataclass(frozen=True)
class TopicFacts:
    """One topic as it is on the broker."""

    name: TopicName
    partitions: int
    configs: Configs


def harms(topic: TopicFacts, frames: Sequence[TopicFacts], *, deadline_seconds: float) -> tuple[str, ...]:
    """What hurts, and what to do; `frames` are the topics of frames that there are, which the answers follow."""
    found = [*_of_any(topic)]
    if topic.name == "frames":
        found += _of_frames(topic, deadline_seconds)
    if frames and topic.name in ("decisions", "frames.dead-letter"):
        found += _of_answers(topic, frames)
    if topic.name == "banks" and _policy(topic) != {"compact"}:
        found.append(
            "bank states expire: a view that is quiet for so long forgets its bank; set cleanup.policy=compact"
        )
    if topic.name in KEPT and topic.configs.get("retention.ms") not in (None, FOR_EVER):
        found.append("what people said and what became of it expires; set retention.ms=-1 and retention.bytes=-1")
    return tuple(found)


def _of_any(topic: TopicFacts) -> Iterator[str]:
    if topic.configs.get("message.timestamp.type") == "CreateTime":
        yield (
            "records are dated by their senders' clocks: a frame of a wrong clock is late, or never is; set "
            "message.timestamp.type=LogAppendTime"
        )
    if topic.name not in ("banks", "frames") and "compact" in _policy(topic):
        yield "only the last message of each key is kept: earlier ones vanish unread; set cleanup.policy=delete"


def _of_frames(topic: TopicFacts, deadline_seconds: float) -> Iterator[str]:
    if "compact" in _policy(topic):
        yield "only the last frame of each camera is kept: parts vanish before they are read; set cleanup.policy=delete"
    retention, least = _number(topic, "retention.ms"), max(LEAST_RETENTION_SECONDS, DEADLINES_KEPT * deadline_seconds)
    if retention is not None and 0 <= retention < least * 1000:
        yield (
            f"frames are deleted after {retention / 1000:g} s, perhaps before they are decided or learnt from; set "
            f"retention.ms={least * 1000:.0f} at least"
        )


def _of_answers(topic: TopicFacts, frames: Sequence[TopicFacts]) -> Iterator[str]:
    widest = max(each.partitions for each in frames)
    if topic.partitions < widest:
        yield (
            f"a topic of frames has {widest} partitions, so the answers of several share one; give it as many "
            f"(kafka-topics.sh --alter --partitions {widest})"
        )
    size = _number(topic, "max.message.bytes")
    takes = [_number(each, "max.message.bytes") for each in frames]
    of_frames = max((each for each in takes if each is not None), default=None)
    if topic.name == "decisions" and size is not None and size < LEAST_DECISION_BYTES:
        yield f"a decision with a large map does not fit, and is a dead letter; set max.message.bytes={2**20}"
    if topic.name == "frames.dead-letter" and None not in (size, of_frames) and (size or 0) <= (of_frames or 0):
        yield (
            "a large frame that cannot be read does not fit, and only a pointer to it is kept; set max.message.bytes="
            f"{(of_frames or 0) + 2**20}"
        )


def _policy(topic: TopicFacts) -> set[str]:
    return {each.strip() for each in (topic.configs.get("cleanup.policy") or "").split(",")} - {""}


def _number(topic: TopicFacts, setting: str) -> int | None:
    text = topic.configs.get(setting)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
