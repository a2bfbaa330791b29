"""The frame contract: liberal in what it takes, and a named reason for everything else."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract import BadMessage, SourceRecord
from ingest.dead_letter import MAX_RECORD_BYTES, dead_letter_of, headers_of, parse_dead_letter
from ingest.frame import BadFrame, DeadLetterReason, Frame, frame_of_record
from ingest.kafka.records import Record
from ingest.view import camera_key, file_name, settings_of_view, view_name, view_of_file_name

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = SourceRecord(topic="frames", partition=2, offset=9)
AT = datetime(2026, 11, 24, tzinfo=UTC)


def frame_of(
    key: bytes | None = b"line-1/cam-1", value: bytes | None = b"jpeg", headers: tuple[tuple[str, bytes], ...] = ()
) -> Frame:
    """Parse a record at partition 2, offset 9."""
    return frame_of_record(Record("frames", 2, 9, 5, "log_append_time", key, value, headers))


def test_a_keyed_image_without_headers_is_a_frame() -> None:
    """Any topic of keyed JPEGs works; the frame id follows from partition and offset."""
    assert frame_of() == Frame(
        view="line-1/cam-1", key="line-1/cam-1", frame_id="2-9", encoded=b"jpeg", source=SOURCE, appended_ms=5
    )


def test_headers_say_more_and_unknown_ones_are_ignored() -> None:
    """Every header of the contract arrives; one that is not UTF-8 is ignored if it is not ours."""
    frame = frame_of(
        headers=(
            ("frame-id", b"c0ffee-4"),
            ("sequence", b"4"),
            ("captured-at", b"2026-11-24T00:00:00Z"),
            ("content-type", b"image/jpeg"),
            ("product", "Dichtung groß".encode()),
            ("part-serial", b"SN1"),
            ("patchline-schema", b"1"),
            ("patchline-replay-of", b"frames.dead-letter:0:7"),
            ("trace", b"\xff"),
        )
    )
    assert frame == Frame(
        view="line-1/cam-1@Dichtung groß",
        key="line-1/cam-1",
        frame_id="c0ffee-4",
        encoded=b"jpeg",
        source=SOURCE,
        appended_ms=5,
        sequence=4,
        captured_at=AT,
        content_type="image/jpeg",
        product="Dichtung groß",
        part_serial="SN1",
        replay_of=SourceRecord(topic="frames.dead-letter", partition=0, offset=7),
    )


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"key": None}, DeadLetterReason.NO_KEY),
        ({"key": b""}, DeadLetterReason.NO_KEY),
        ({"key": b"\xff\xfe"}, DeadLetterReason.BAD_KEY),
        ({"key": b"line@1/cam"}, DeadLetterReason.BAD_KEY),
        ({"key": b"a" * 201}, DeadLetterReason.BAD_KEY),
        ({"value": None}, DeadLetterReason.EMPTY),
        ({"value": b""}, DeadLetterReason.EMPTY),
        ({"headers": (("sequence", b"four"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("sequence", "²".encode()),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("captured-at", b"yesterday"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("captured-at", b"2026-11-24T00:00:00"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("frame-id", b"\xff"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("frame-id", b""),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("patchline-replay-of", b"x"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("patchline-schema", b"2"),)}, DeadLetterReason.UNKNOWN_SCHEMA),
        ({"value": b"", "headers": (("uri", b"s3://x"),)}, DeadLetterReason.CLAIM_CHECK_NOT_ENABLED),
        ({"headers": (("product", b"\n"),)}, DeadLetterReason.BAD_KEY),
    ],
)
def test_what_is_no_frame_has_a_reason(record: dict[str, object], reason: DeadLetterReason) -> None:
    """Each way to be wrong has its own word."""
    with pytest.raises(BadFrame) as refused:
        frame_of(**record)
    assert refused.value.reason is reason


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.lists(
        st.tuples(
            st.sampled_from(["frame-id", "sequence", "captured-at", "product", "patchline-schema", "x"]), st.binary()
        )
    ),
)
def test_any_record_is_a_frame_or_a_bad_frame(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Nothing a sender writes makes the reader crash."""
    with contextlib.suppress(BadFrame):
        assert frame_of(key, value, tuple(headers)).encoded == value


@given(st.text(min_size=1, max_size=50))
def test_a_view_survives_its_file_name(view: str) -> None:
    """Percent-encoding is undone, and no view can climb out of its folder."""
    name = file_name(view)
    assert view_of_file_name(name) == view
    assert "/" not in name
    assert not name.startswith(".")


@pytest.mark.parametrize("product", ["螺" * 24, "x" * 200])
def test_a_view_can_name_a_file(tmp_path: Path, product: str) -> None:
    """Bank and window of every view lie in a folder of its name."""
    view = view_name("line-1/camera-1", product)
    (tmp_path / file_name(view)).mkdir()
    assert view_of_file_name(next(tmp_path.iterdir()).name) == view


@pytest.mark.parametrize("product", ["螺" * 25, "é" * 200])
def test_a_view_that_no_file_can_be_named_after_is_a_bad_key(product: str) -> None:
    """A name on a disk has 255 bytes at most: after one such frame the trainer could write no window any more."""
    with pytest.raises(BadFrame, match="as a file name") as bad:
        frame_of(key=b"line-1/camera-1", headers=(("product", product.encode()),))
    assert bad.value.reason is DeadLetterReason.BAD_KEY


def test_product_parts_views_of_one_camera() -> None:
    """The key stays the camera's, so frames of all products keep their order."""
    assert view_name("line/cam", "nut") == "line/cam@nut"
    assert camera_key("line/cam@nut@2") == "line/cam"


def test_later_patterns_lie_over_earlier_ones() -> None:
    """Nested sections merge, the rest is replaced."""
    patterns = {"*": {"a": 1, "build": {"x": 1, "y": 1}}, "line-3/*": {"build": {"y": 2}}, "line-4/*": {"a": 9}}
    assert settings_of_view("line-3/cam", patterns) == {"a": 1, "build": {"x": 1, "y": 2}}


def test_a_dead_letter_is_the_record_and_why() -> None:
    """Bytes and headers come back untouched; a replayed letter does not pile up our headers."""
    letter = dead_letter_of(
        source=SOURCE,
        reason=DeadLetterReason.TRUNCATED,
        detail="ends in the middle",
        at=AT,
        key=b"k",
        value=b"\xff\xd8",
        headers=(("frame-id", b"1"), ("frame-id", b"\xff"), ("patchline-dead-letter-reason", b"old")),
    )
    assert letter.headers == (("frame-id", b"1"), ("frame-id", b"\xff"))
    assert parse_dead_letter(key=b"k", value=b"\xff\xd8", headers=headers_of(letter)) == letter
    assert not letter.pointer_only


def test_bytes_that_would_not_fit_stay_where_they_are() -> None:
    """The dead letter points at them and says what they hash to."""
    letter = dead_letter_of(
        source=SOURCE,
        reason=DeadLetterReason.CORRUPT,
        detail="",
        at=AT,
        key=b"k",
        value=bytes(MAX_RECORD_BYTES),
        headers=(),
    )
    assert letter.pointer_only
    assert letter.size_bytes == MAX_RECORD_BYTES
    assert parse_dead_letter(key=b"k", value=None, headers=headers_of(letter)) == letter


def test_a_foreign_record_is_no_dead_letter() -> None:
    """Someone else's record in the topic is named as such."""
    with pytest.raises(BadMessage, match="not a dead letter of ours"):
        parse_dead_letter(key=None, value=None, headers=())
