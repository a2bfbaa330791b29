"""A view's recorded decisions, and the frames they were about, as far as Kafka still keeps them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from ingest.contract import BadMessage
from ingest.decision import Decision
from ingest.frame import BadFrame, Frame, frame_of_record
from ingest.kafka.readers import ALONG, WholeTopicReader, record_at
from ingest.view import camera_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from ingest.claims import Claims
    from ingest.contract import SourceRecord
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings, TopicName

log = structlog.get_logger(__name__)

READ_SECONDS = 600.0
"""For all decisions of the requested time."""
FRAME_SECONDS = 15.0

PAGE = 1 << 16
"""Offsets whose bits lie in one block."""


class SeenRecords:
    """Which input records have been seen, a bit each: a week of a fast camera is a megabyte."""

    def __init__(self) -> None:
        self._pages: dict[tuple[str, int, int], bytearray] = defaultdict(lambda: bytearray(PAGE // 8))

    def first(self, source: SourceRecord) -> bool:
        """Whether this record is seen for the first time; from now on it counts as seen."""
        page, place = divmod(source.offset, PAGE)
        byte, bit = divmod(place, 8)
        bits = self._pages[source.topic, source.partition, page]
        new = not bits[byte] >> bit & 1
        bits[byte] |= 1 << bit
        return new


def decisions_of(
    kafka: KafkaSettings, view: str, *, since: datetime, topic: TopicName = "decisions"
) -> Iterator[Decision]:
    """A view's committed decisions since a moment, one for each input record, in the order of its partition.

    `topic`: those by the banks in force, or by banks in shadow. Raises KafkaFailure.
    """
    name, key = kafka.topic(topic), camera_key(view).encode()
    seen = SeenRecords()
    with WholeTopicReader.open(kafka, topics=[name], give_up_seconds=kafka.give_up_seconds) as reader:
        reader.skip_to(since)
        for record in _to_end(reader):
            decision = _decision_in(record) if record.key == key else None
            if decision is None or decision.view != view or decision.decided_at < since:
                continue
            if seen.first(decision.source):
                yield decision


def frame_of(kafka: KafkaSettings, claims: Claims, decision: Decision) -> Frame | None:
    """The frame a decision was about; None where Kafka, or the store it lies in, keeps it no more.

    Raises KafkaFailure.
    """
    at = decision.source
    record = record_at(kafka, at.topic_partition, at.offset, timeout_seconds=FRAME_SECONDS)
    if record is None:
        return None
    try:
        frame = claims.filled(frame_of_record(record, kafka.topic("frames")))
    except BadFrame:
        return None
    return frame if (frame.view, frame.frame_id) == (decision.view, decision.frame_id) else None


def _to_end(reader: WholeTopicReader) -> Iterator[Record]:
    """The embedded broker takes the first record of the last batch for the end: the rest of it comes along."""
    yield from reader.stream_to_end(READ_SECONDS)
    yield from reader.poll(0, room=ALONG)


def _decision_in(record: Record) -> Decision | None:
    """The decision in a record; one that cannot be read is logged and skipped."""
    try:
        return Decision.from_bytes(record.value or b"")
    except BadMessage as error:
        log.warning("not_a_decision", record=f"{record.topic}:{record.partition}:{record.offset}", why=str(error))
        return None
