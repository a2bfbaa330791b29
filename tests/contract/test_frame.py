"""The frame contract: liberal in what it takes, and a named reason for everything else."""

from __future__ import annotations

import contextlib
import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecordsBuilder
from prometheus_client import CollectorRegistry, Counter
from pydantic import TypeAdapter, ValidationError

from ingest.contract import BadMessage, SourceRecord
from ingest.dead_letter import MAX_MESSAGE_BYTES, OURS, dead_letter_of, headers_of, parse_dead_letter
from ingest.frame import OPTIONAL_HEADERS, BadFrame, DeadLetterReason, Frame, PictureClaim, frame_of_record
from ingest.kafka.records import Record
from ingest.store import PART, FsspecStore
from ingest.store_layout import bank_path, banks_among, exemplar_path, frame_path, views_among, window_index_path
from ingest.view import (
    BadViewName,
    ViewName,
    camera_key,
    checked_view,
    file_name,
    settings_of_view,
    view_name,
    view_of_file_name,
)

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = SourceRecord(topic="frames", partition=2, offset=9)
VIEW_NAMES: TypeAdapter[str] = TypeAdapter(ViewName)
AT = datetime(2026, 11, 24, tzinfo=UTC)


def frame_of(
    key: bytes | None = b"line-1/cam-1", value: bytes | None = b"jpeg", headers: tuple[tuple[str, bytes], ...] = ()
) -> Frame:
    """Parse a record at partition 2, offset 9."""
    return frame_of_record(Record("frames", 2, 9, 5, "log_append_time", key, value, headers), "frames")


def claim_headers(**changes: bytes) -> tuple[tuple[str, bytes], ...]:
    """Those of a right claim, but for the changes."""
    return tuple(({"uri": b"s3://x/y", "sha256": b"a" * 64, "size": b"7"} | changes).items())


def test_a_keyed_image_without_headers_is_a_frame() -> None:
    """Any topic of keyed JPEGs works; the frame id follows from partition and offset."""
    assert frame_of() == Frame(
        view="line-1/cam-1", key="line-1/cam-1", frame_id="2-9", encoded=b"jpeg", source=SOURCE, appended_ms=5
    )


def test_a_frame_of_a_further_topic_without_an_id_is_named_by_its_topic_too() -> None:
    """Two topics have the same partitions and offsets; the names of the first stay what they were."""
    record = Record("cell-4.images", 2, 9, 5, "log_append_time", b"line-1/cam-1", b"jpeg")
    assert frame_of_record(record, "frames").frame_id == "cell-4.images-2-9"
    assert frame_of_record(record, "cell-4.images").frame_id == "2-9"
    assert frame_of_record(dataclasses.replace(record, headers=(("frame-id", b"f"),)), "frames").frame_id == "f"


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
            ("file-name", b"crack/003.png"),
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
        file_name="crack/003.png",
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
        ({"headers": (("product", b"\xff"),)}, DeadLetterReason.BAD_HEADER),
        ({"headers": (("patchline-schema", b"2"),)}, DeadLetterReason.UNKNOWN_SCHEMA),
        ({"value": b"", "headers": (("uri", b"s3://x"),)}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(sha256=b"00")}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(size=b"-1")}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(size=b"9" * 30)}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(uri=b"s3://\xff")}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(uri=b"s3://" + b"x" * 2000)}, DeadLetterReason.CLAIM_REFUSED),
        ({"value": b"", "headers": claim_headers(uri=b"")}, DeadLetterReason.EMPTY),
        ({"headers": (("product", b"\n"),)}, DeadLetterReason.BAD_KEY),
    ],
)
def test_what_is_no_frame_has_a_reason(record: dict[str, object], reason: DeadLetterReason) -> None:
    """Each way to be wrong has its own word."""
    with pytest.raises(BadFrame) as refused:
        frame_of(**record)
    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sequence", b"four"),
        ("sequence", b"A-17"),
        ("sequence", b"-1"),
        ("sequence", b"1.0"),
        ("sequence", b"\x00\x00\x00\x07"),
        ("sequence", "²".encode()),
        ("captured-at", b"yesterday"),
        ("captured-at", b"2026-11-24T00:00:00"),
        ("captured-at", b"28.11.2026 14:00"),
        ("captured-at", b"2" * 5000),
        ("frame-id", b"\xff"),
        ("frame-id", b"x" * 257),
        ("part-serial", "Gehäuse".encode("latin1")),
        ("part-serial", b"x" * 1_100_000),
        ("content-type", b"\xff"),
        ("patchline-schema", b"one"),
        ("patchline-schema", b"0"),
        ("patchline-replay-of", b"x"),
        ("patchline-replay-of", b"frames.dead-letter:0:" + b"9" * 30),
    ],
)
def test_an_optional_header_that_cannot_be_read_costs_only_itself(name: str, content: bytes) -> None:
    """Only key, picture and product are needed: the frame is as it would be without the header, which is named."""
    frame = frame_of(headers=((name, content),))
    assert frame == dataclasses.replace(frame_of(), unread_headers=(name,))


@pytest.mark.parametrize("name", [*OPTIONAL_HEADERS, "product"])
def test_an_empty_header_says_nothing(name: str) -> None:
    """Some clients write every header of a template."""
    assert frame_of(headers=((name, b""),)) == frame_of()


def test_a_frame_without_a_picture_may_say_where_it_lies() -> None:
    """The claim is read; what it names is fetched by whoever needs the picture."""
    frame = frame_of(value=b"", headers=claim_headers(sha256=b"AB" * 32))
    assert (frame.encoded, frame.claim) == (b"", PictureClaim("s3://x/y", "ab" * 32, 7))
    assert frame_of(value=b"jpeg", headers=claim_headers()).claim is None


def test_an_address_beside_a_picture_is_the_senders_own() -> None:
    """`uri` is a claim only where there is no picture."""
    assert frame_of(headers=(("uri", b"opc.tcp://plc-7/cell"),)) == frame_of()


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.lists(st.tuples(st.sampled_from([*OPTIONAL_HEADERS, "product", "uri", "sha256", "size", "x"]), st.binary())),
)
def test_any_record_is_a_frame_or_a_bad_frame(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """Nothing a sender writes makes the reader crash."""
    with contextlib.suppress(BadFrame):
        frame = frame_of(key, value, tuple(headers))
        assert frame.encoded == value or frame.claim is not None


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(TEXT, st.none() | TEXT)
@example("line~2/cam", None)
@example("../..", "~")
@example(".", "..")
def test_what_names_a_view_names_it_everywhere(key: str, product: str | None) -> None:
    """One check: what `view_name` takes, every message, path of the store and metric label takes, and gives back."""
    try:
        view = view_name(key, product)
    except BadViewName:
        assume(False)
    assert frame_of(key.encode(), headers=() if product is None else (("product", product.encode()),)).view == view
    assert VIEW_NAMES.validate_json(VIEW_NAMES.dump_json(view)) == view
    assert camera_key(view) == key
    name = file_name(view)
    assert PART.match(name)
    assert not name.startswith(".")
    assert view_of_file_name(name) == view
    assert list(views_among([window_index_path(view).split("/")[1]])) == [view]
    assert [each.view for each in banks_among([bank_path(view, "f" * 64)])] == [view]
    store = FsspecStore.open("memory://views")
    for path in (
        window_index_path(view),
        frame_path(view, 0, 1),
        bank_path(view, "0" * 64),
        exemplar_path(view, "~/é", 0),
    ):
        store.put(path, b"x")
        assert path in store.paths()
        store.delete(path)
    label = Counter("seen", "Views.", ["view"], registry=CollectorRegistry())
    label.labels(view=view).inc()
    (sample, *_) = next(iter(label.collect())).samples
    assert sample.labels == {"view": view}


@given(TEXT)
def test_a_message_takes_no_view_that_no_frame_can_have(view: str) -> None:
    """What commands and feedback name is held against the same check as the keys of frames."""
    try:
        checked_view(view)
    except BadViewName:
        with pytest.raises(ValidationError):
            VIEW_NAMES.validate_python(view)
    else:
        assert VIEW_NAMES.validate_python(view) == view


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
        value=bytes(MAX_MESSAGE_BYTES),
        headers=(),
    )
    assert letter.pointer_only
    assert letter.left_out == ("value",)
    assert letter.size_bytes == MAX_MESSAGE_BYTES
    assert parse_dead_letter(key=b"k", value=None, headers=headers_of(letter)) == letter


@given(
    key=st.integers(0, 20_000),
    value=st.integers(0, 40_000),
    headers=st.lists(st.integers(0, 5000), max_size=8),
    room=st.integers(10_000, 60_000),
)
def test_every_dead_letter_fits_its_topic(key: int, value: int, headers: list[int], room: int) -> None:
    """Value, then headers, then key are left out until it does; what is left is as it came."""
    theirs = tuple((f"h{number}", bytes(size)) for number, size in enumerate(headers))
    letter = dead_letter_of(
        source=SOURCE,
        reason=DeadLetterReason.CORRUPT,
        detail="\U0001f4f7" * 1000,
        at=AT,
        key=b"k" * key,
        value=bytes(value),
        headers=theirs,
        message_bytes=room,
    )
    written = headers_of(letter)
    batch = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=room)
    batch.append(timestamp=0, key=letter.key, value=letter.value, headers=list(written))
    batch.close()
    assert batch.size_in_bytes() <= room
    assert parse_dead_letter(key=letter.key, value=letter.value, headers=written) == letter
    assert letter.headers == (() if "headers" in letter.left_out else theirs)
    assert not {name for name, _ in letter.headers} & OURS


@given(st.dictionaries(st.sampled_from(sorted(OURS)), st.binary(max_size=30)), st.none() | st.binary(max_size=5))
def test_any_headers_are_a_dead_letter_or_a_named_error(headers: dict[str, bytes], value: bytes | None) -> None:
    """Whoever may write to the topic breaks no reader."""
    with contextlib.suppress(BadMessage):
        parse_dead_letter(key=b"k", value=value, headers=tuple(headers.items()))


def test_a_foreign_record_is_no_dead_letter() -> None:
    """Someone else's record in the topic is named as such."""
    with pytest.raises(BadMessage, match="not a dead letter of ours"):
        parse_dead_letter(key=None, value=None, headers=())
