"""The frame that a person names: by its record, its frame id or its decision's id, with what was decided on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from deploy.errors import CommandFailed, UsageError
from deploy.history.decision_reader import FRAME_SECONDS, decisions_of
from ingest.contract import SourceRecord
from ingest.frame import BadFrame, frame_of_record
from ingest.kafka.readers import record_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ingest.claims import Claims
    from ingest.decision import Decision
    from ingest.frame import Frame
    from ingest.kafka.settings import KafkaSettings

RECORD = re.compile(r"(?:(.+):)?(\d+):(\d+)")
FEWEST_DIGITS = 6
"""Of a decision's id: fewer would fit too many."""
LATEST = timedelta(minutes=15)
"""These decisions are searched first: most words are on a part that has just been inspected."""
CLOCKS = timedelta(minutes=1)
"""How far the clocks of broker and inspection may differ."""


@dataclass(frozen=True)
class NamedFrame:
    """A frame in Kafka; `decision` is the one recorded on it, None where none is found."""

    source: SourceRecord
    decision: Decision | None


def find_frame(kafka: KafkaSettings, view: str, name: str, *, since: datetime, now: datetime) -> NamedFrame:
    """The frame of a view that a name means: [topic:]partition:offset, a frame id, or the start of a decision's id.

    Raises:
        UsageError: no decision since that moment has the name, several have, or the record is another view's.
        CommandFailed: Kafka no longer keeps the record.
        KafkaFailure: Kafka cannot be read.
    """
    source = record_named(name, topics=kafka.frame_topics)
    if source is not None:
        return _at_record(kafka, view, source)
    for begin in (max(since, now - LATEST), since):
        decision = latest_named(decisions_of(kafka, view, since=begin), name)
        if decision is not None:
            return NamedFrame(decision.source, decision)
    raise UsageError(
        f"no decision of {view} since {since:%Y-%m-%d %H:%M} UTC is on a frame {name}: give partition:offset, or a "
        "longer --since; patchline decisions shows both"
    )


def record_named(name: str, *, topics: Sequence[str]) -> SourceRecord | None:
    """The record in the form [topic:]partition:offset, without a topic of the first of these; None for another form.

    Raises UsageError where it names another topic.
    """
    parts = RECORD.fullmatch(name)
    if parts is None:
        return None
    topic = parts[1] or topics[0]
    if topic not in topics:
        raise UsageError(f"{name} is no record of {' or '.join(topics)}")
    return SourceRecord(topic=topic, partition=int(parts[2]), offset=int(parts[3]))


def latest_named(decisions: Iterable[Decision], name: str) -> Decision | None:
    """The latest decision on a frame of this id; else the one whose id starts so. Raises UsageError for several."""
    by_frame: Decision | None = None
    by_id: dict[str, Decision] = {}
    digits = len(name) >= FEWEST_DIGITS
    for each in decisions:
        if each.frame_id == name:
            by_frame = each
        elif digits and each.id.startswith(name):
            by_id[each.id] = each
    if by_frame is None and len(by_id) > 1:
        raise UsageError(f"the ids of {len(by_id)} decisions start with {name}; write more of it")
    return by_frame or next(iter(by_id.values()), None)


def _at_record(kafka: KafkaSettings, view: str, source: SourceRecord) -> NamedFrame:
    frame = frame_at(kafka, source)
    if frame.view != view:
        raise UsageError(f"the frame {_short(kafka, source)} belongs to {frame.view}, not to {view}")
    begin = datetime.fromtimestamp(frame.appended_ms / 1000, UTC) - CLOCKS
    decision = next((each for each in decisions_of(kafka, view, since=begin) if each.source == source), None)
    return NamedFrame(source, decision)


def picture_at(kafka: KafkaSettings, claims: Claims, source: SourceRecord) -> Frame:
    """The frame in a record, with the picture that it claims. Raises CommandFailed where either is there no more."""
    frame = frame_at(kafka, source)
    try:
        return claims.filled(frame)
    except BadFrame as error:
        raise CommandFailed(f"the frame {_short(kafka, source)} has no picture: {error}") from None


def frame_at(kafka: KafkaSettings, source: SourceRecord) -> Frame:
    """The frame in a record. Raises CommandFailed where Kafka no longer keeps it, or it is no frame."""
    record = record_at(kafka, source.topic_partition, source.offset, timeout_seconds=FRAME_SECONDS)
    if record is None:
        raise CommandFailed(f"Kafka no longer keeps the frame {_short(kafka, source)}, or never had it")
    try:
        return frame_of_record(record, kafka.topic("frames"))
    except BadFrame as error:
        raise CommandFailed(f"the record {_short(kafka, source)} is no frame: {error}") from None


def _short(kafka: KafkaSettings, source: SourceRecord) -> str:
    return source.short(kafka.topic("frames"))
