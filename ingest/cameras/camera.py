"""The sending side of a camera: its frames become keyed records of `frames`, numbered so that a loss shows as a gap."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Protocol

from ingest.contract import SCHEMA
from ingest.frame import (
    CAPTURED_AT,
    CONTENT_TYPE,
    FILE_NAME,
    FRAME_ID,
    MAX_HEADER_CHARACTERS,
    PART_SERIAL,
    PATCHLINE_SCHEMA,
    PRODUCT,
    SEQUENCE,
)
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.records import Outgoing
from ingest.view import view_name
from monitoring.metrics import open_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from ingest.cameras.source import CameraFrame
    from monitoring.metrics import CameraMetrics


class FrameSink(Protocol):
    """What a camera needs of a producer: `send` may return before the broker has the record, `flush` may not."""

    def send(self, record: Outgoing, /) -> object:
        """Take one record on its way."""

    def flush(self) -> object:
        """Wait until every record sent is in the topic, and raise where one is not."""


class Camera:
    """One camera from one start to its end. `key` is `line/camera`; `start` is new at every start of the camera."""

    def __init__(
        self,
        sender: FrameSink,
        key: str,
        *,
        start: UUID,
        product: str | None = None,
        topic: str = "frames",
        metrics: CameraMetrics | None = None,
    ) -> None:
        """Raises BadViewName where key and product name no view."""
        self.view = view_name(key, product)
        self._sender = sender
        self._key = key
        self._start = start
        self._product = product
        self._topic = topic
        self._metrics = metrics
        self._sequence = 0
        if metrics is not None:
            open_view(metrics, self.view)

    def send(self, frame: CameraFrame, *, part_serial: str | None = None) -> str:
        """Hand one frame to the sender and return its frame id. Its label and mask stay here.

        Raises KafkaFailure where the sender does.
        """
        frame_id = f"{self._start}-{self._sequence}"
        fields = {
            FRAME_ID: frame_id,
            SEQUENCE: str(self._sequence),
            CAPTURED_AT: rfc3339(frame.captured_at),
            CONTENT_TYPE: frame.content_type,
            PRODUCT: self._product,
            PART_SERIAL: part_serial,
            FILE_NAME: None if frame.file_name is None else frame.file_name[-MAX_HEADER_CHARACTERS:],
            PATCHLINE_SCHEMA: str(SCHEMA),
        }
        headers = tuple((name, text.encode()) for name, text in fields.items() if text is not None)
        self._sequence += 1  # also for a frame that fails: the gap is the truth
        self._hand_over(Outgoing(self._topic, self._key.encode(), frame.encoded, headers), len(frame.encoded))
        return frame_id

    def stream(
        self,
        frames: Iterable[CameraFrame],
        *,
        rate_per_second: float | None,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> Iterator[tuple[str, CameraFrame]]:
        """Send frames on a steady beat, giving each with its frame id once it is sent; flush at the end.

        Frame n is due n / rate after the first: a late one goes at once, and the beat does not slip behind it. No rate:
        as fast as they come. `clock` counts seconds and never goes back.

        Raises ValueError for a rate that is not positive.
        """
        if rate_per_second is not None and not rate_per_second > 0:
            raise ValueError(f"rate_per_second is {rate_per_second}: give a positive number of frames a second")
        return self._paced(frames, 0.0 if rate_per_second is None else 1 / rate_per_second, sleep, clock)

    def _paced(
        self,
        frames: Iterable[CameraFrame],
        beat_seconds: float,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
    ) -> Iterator[tuple[str, CameraFrame]]:
        begun = clock()
        try:
            for number, frame in enumerate(frames):
                self._wait(begun + number * beat_seconds if beat_seconds else clock(), sleep, clock)
                yield self.send(frame), frame
        finally:
            self._sender.flush()

    def _wait(self, due: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        early_seconds = due - clock()
        if self._metrics is not None:
            self._metrics.behind.labels(view=self.view).set(max(0.0, -early_seconds))
        if early_seconds > 0:
            sleep(early_seconds)

    def _hand_over(self, record: Outgoing, size_bytes: int) -> None:
        try:
            self._sender.send(record)
        except KafkaFailure:
            if self._metrics is not None:
                self._metrics.frames_failed.labels(view=self.view).inc()
            raise
        if self._metrics is not None:
            self._metrics.frames_sent.labels(view=self.view).inc()
            self._metrics.bytes_sent.labels(view=self.view).inc(size_bytes)


def rfc3339(moment: datetime) -> str:
    """The moment in UTC, to the microsecond. Raises ValueError for one without an offset: it names no moment."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no offset: give cameras a clock like datetime.now(UTC)")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
