"""The sending side of a camera: records that the frame contract reads back, on a steady beat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from ingest.cameras.camera import Camera, rfc3339
from ingest.cameras.source import CameraFrame
from ingest.contract import SourceRecord
from ingest.frame import Frame, parse_frame
from ingest.kafka.errors import SendFailed
from ingest.view import BadViewName
from monitoring.metrics import declare_camera

if TYPE_CHECKING:
    from ingest.kafka.records import Outgoing

START = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 5, 1, 14, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))


class Kept:
    """A sender that keeps what it was given; `broken` numbers are refused."""

    def __init__(self, *, broken: frozenset[int] = frozenset()) -> None:
        self.records: list[Outgoing] = []
        self.flushes = 0
        self._broken = broken
        self._calls = 0

    def send(self, record: Outgoing, /) -> None:
        """Keep the record, or refuse it."""
        number, self._calls = self._calls, self._calls + 1
        if number in self._broken:
            raise SendFailed("broker is gone")
        self.records.append(record)

    def flush(self) -> None:
        """Count the call."""
        self.flushes += 1


class Hands:
    """A clock that only sleeping, and work of a given length, moves."""

    def __init__(self) -> None:
        self.now = 50.0

    def clock(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def frame(content: bytes = b"\xff\xd8pixels", label: str = "scratch") -> CameraFrame:
    """A frame with the truth about it."""
    return CameraFrame(content, "image/jpeg", NOON, "made up", label, np.ones((4, 4), bool))


def read_back(record: Outgoing) -> Frame:
    """The frame as inference will see it."""
    source = SourceRecord(topic=record.topic, partition=0, offset=0)
    return parse_frame(
        source=source,
        first_topic=source.topic,
        appended_ms=1,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def test_a_record_says_all_that_the_frame_contract_reads() -> None:
    """Key, bytes, frame id, sequence, capture time in UTC, content type, product, part serial, schema."""
    sender = Kept()
    camera = Camera(sender, "line-1/top", start=START, product="M8", topic="plant.frames")
    frame_id = camera.send(frame(), part_serial="SN-77")
    record = sender.records[0]
    seen = read_back(record)
    assert (record.topic, record.partition, camera.view) == ("plant.frames", None, "line-1/top@M8")
    assert (seen.view, seen.key, seen.encoded) == ("line-1/top@M8", "line-1/top", b"\xff\xd8pixels")
    assert (seen.frame_id, seen.sequence) == (frame_id, 0)
    assert frame_id == "12345678-1234-5678-1234-567812345678-0"
    assert seen.captured_at == NOON
    assert (seen.content_type, seen.product, seen.part_serial) == ("image/jpeg", "M8", "SN-77")
    assert dict(record.headers)["captured-at"] == b"2026-05-01T12:00:00.250000Z"
    assert dict(record.headers)["patchline-schema"] == b"1"


def test_the_file_that_a_picture_comes_from_can_be_found_again() -> None:
    """Folder and name; of a longer one the end, where the name stands."""
    sender = Kept()
    camera = Camera(sender, "line-1/top", start=START)
    for name in ("crack/003.png", "x" * 300 + "/003.png"):
        camera.send(CameraFrame(b"\xff\xd8pixels", "image/jpeg", NOON, "made up", file_name=name))
    first, second = (read_back(record).file_name for record in sender.records)
    assert first == "crack/003.png"
    assert second is not None
    assert second.endswith("x/003.png")


def test_what_a_camera_does_not_know_it_does_not_say() -> None:
    """Without product and serial these headers are absent, not empty."""
    sender = Kept()
    Camera(sender, "line-1/top", start=START).send(frame())
    assert {name for name, _ in sender.records[0].headers} == {
        "frame-id",
        "sequence",
        "captured-at",
        "content-type",
        "patchline-schema",
    }


def test_the_truth_never_leaves() -> None:
    """A record of a defective frame is the record of a good one: label and mask are not in it."""
    sender = Kept()
    for label in ("scratch", "good"):
        Camera(sender, "line-1/top", start=START).send(frame(label=label))
    assert sender.records[0] == sender.records[1]


def test_a_frame_that_could_not_be_sent_is_a_gap() -> None:
    """Sequence goes on after a failure, so that the loss shows; it is counted."""
    registry = CollectorRegistry()
    sender = Kept(broken=frozenset({1}))
    view = {"view": "line-1/top"}
    camera = Camera(sender, "line-1/top", start=START, metrics=declare_camera(registry))
    assert registry.get_sample_value("patchline_camera_frames_failed_total", view) == 0
    camera.send(frame())
    with pytest.raises(SendFailed):
        camera.send(frame())
    camera.send(frame())
    assert [read_back(record).sequence for record in sender.records] == [0, 2]
    assert registry.get_sample_value("patchline_camera_frames_failed_total", view) == 1
    assert registry.get_sample_value("patchline_camera_frames_sent_total", view) == 2
    assert registry.get_sample_value("patchline_camera_sent_bytes_total", view) == 16


def test_a_stream_keeps_its_beat() -> None:
    """At 4 a second frame n leaves n / 4 s after the first, and each comes with its frame id."""
    hands, sender = Hands(), Kept()
    camera = Camera(sender, "line-1/top", start=START)
    left = []
    for frame_id, sent in camera.stream([frame()] * 3, rate_per_second=4, sleep=hands.sleep, clock=hands.clock):
        left.append((frame_id[-2:], sent.label, hands.now))
    assert left == [("-0", "scratch", 50.0), ("-1", "scratch", 50.25), ("-2", "scratch", 50.5)]
    assert sender.flushes == 1


def test_a_late_frame_goes_at_once_and_the_beat_does_not_slip() -> None:
    """One second lost before frame 1: frames 1 to 4 follow at once, frame 5 is on the old beat."""
    registry = CollectorRegistry()
    hands = Hands()
    camera = Camera(Kept(), "line-1/top", start=START, metrics=declare_camera(registry))
    left, behind = [], []
    stream = camera.stream([frame()] * 7, rate_per_second=4, sleep=hands.sleep, clock=hands.clock)
    for number, _ in enumerate(stream):
        left.append(hands.now)
        behind.append(registry.get_sample_value("patchline_camera_behind_seconds", {"view": "line-1/top"}))
        if number == 0:
            hands.now += 1
    assert left == [50.0, 51.0, 51.0, 51.0, 51.0, 51.25, 51.5]
    assert behind == [0, 0.75, 0.5, 0.25, 0, 0, 0]


def test_without_a_rate_nobody_waits() -> None:
    """As fast as they come."""

    def sleep(seconds: float) -> None:
        pytest.fail(f"slept {seconds} s")

    camera = Camera(Kept(), "line-1/top", start=START)
    sent = list(camera.stream([frame()] * 5, rate_per_second=None, sleep=sleep, clock=lambda: 0.0))
    assert len(sent) == 5


def test_a_stream_that_is_left_early_is_flushed() -> None:
    """Ctrl-C must not lose what was handed over."""
    sender = Kept()
    stream = Camera(sender, "l/c", start=START).stream([frame()] * 5, rate_per_second=None, sleep=id, clock=lambda: 0.0)
    next(stream)
    stream.close()
    assert (len(sender.records), sender.flushes) == (1, 1)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_a_rate_that_is_none_is_refused_before_the_first_frame(rate: float) -> None:
    """Said at the call, not at the first frame."""
    camera = Camera(Kept(), "line-1/top", start=START)
    with pytest.raises(ValueError, match="give a positive number of frames a second"):
        camera.stream([frame()], rate_per_second=rate, sleep=id, clock=lambda: 0.0)


def test_a_key_that_names_no_view_is_refused() -> None:
    """`@` parts key and product."""
    with pytest.raises(BadViewName):
        Camera(Kept(), "line@1/top", start=START)


def test_a_time_without_offset_is_no_moment() -> None:
    """A naive datetime would be read as another hour elsewhere."""
    with pytest.raises(ValueError, match="2026-05-01T12:00:00 has no offset"):
        rfc3339(datetime(2026, 5, 1, 12))  # noqa: DTZ001 -- the mistake itself
    assert rfc3339(datetime(2026, 5, 1, 12, tzinfo=UTC)) == "2026-05-01T12:00:00.000000Z"
