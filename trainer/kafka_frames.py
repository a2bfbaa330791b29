"""One frame out of Kafka, for a person's word on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.frame import BadFrame, Frame, frame_of_record
from ingest.kafka.readers import record_at
from trainer.transition import NotPossible

if TYPE_CHECKING:
    from ingest.claims import Claims
    from ingest.contract import SourceRecord
    from ingest.kafka.settings import KafkaSettings

FETCH_SECONDS = 10.0
"""For one frame: the trainer reads nothing else meanwhile."""


class KafkaFrames:
    """Fetches frames by their place in the topics of frames."""

    def __init__(self, settings: KafkaSettings, claims: Claims) -> None:
        self._settings = settings
        self._claims = claims

    def frame(self, source: SourceRecord) -> Frame:
        """The frame at this place.

        Raises:
            NotPossible: there is no frame at this place (any more).
            BrokerUnreachable: no answer in time.
        """
        topics = self._settings.frame_topics
        if source.topic not in topics:
            raise NotPossible(f"frames are in topic {' or '.join(topics)}, not in {source.topic}")
        record = record_at(self._settings, source.topic_partition, source.offset, timeout_seconds=FETCH_SECONDS)
        if record is None:
            raise NotPossible(f"Kafka has no frame at {source}: it expired, or never was")
        try:
            return self._claims.filled(frame_of_record(record, topics[0]))
        except BadFrame as error:
            raise NotPossible(f"the record at {source} is no frame: {error}") from error
