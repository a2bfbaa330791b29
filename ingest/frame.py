"""The frame contract: any topic of keyed images works; headers say more where a camera knows more.

Frames are the public API, so this module is liberal in what it takes: no header is required, unknown ones are ignored.
What cannot be taken is a `BadFrame` with the reason its dead letter carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 -- pydantic reads it at run time
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from ingest.contract import SCHEMA, Moment, SourceRecord
from ingest.view import BadViewName, view_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.kafka.records import Record

FRAME_ID = "frame-id"
SEQUENCE = "sequence"
CAPTURED_AT = "captured-at"
CONTENT_TYPE = "content-type"
PRODUCT = "product"
PART_SERIAL = "part-serial"
PATCHLINE_SCHEMA = "patchline-schema"
CLAIM_URI = "uri"
CLAIM_SHA256 = "sha256"
CLAIM_SIZE = "size"
REPLAY_OF = "patchline-replay-of"
"""On a replayed frame: the dead letter it comes from, as `topic:partition:offset`."""

MAX_FRAME_ID_CHARACTERS = 256


class DeadLetterReason(StrEnum):
    """Why a record of `frames` cannot become a decision."""

    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    BAD_HEADER = "bad_header"
    UNKNOWN_SCHEMA = "unknown_schema"
    CLAIM_CHECK_NOT_ENABLED = "claim_check_not_enabled"
    EMPTY = "empty"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    TOO_COSTLY = "too_costly"
    CORRUPT = "corrupt"


class BadFrame(ValueError):
    """A record that is no frame; `reason` goes into its dead letter, the text says what was wrong."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Frame:
    """One frame as it came: the encoded image and what its camera recorded with it."""

    view: str
    key: str
    """`line/camera`: the Kafka key of the frame and of its decision."""
    frame_id: str
    encoded: bytes
    source: SourceRecord
    appended_ms: int
    """Broker append time, milliseconds since the epoch."""
    sequence: int | None = None
    """Counts up by one from each start of the camera: a gap is a frame lost before Kafka."""
    captured_at: datetime | None = None
    content_type: str | None = None
    product: str | None = None
    part_serial: str | None = None
    replay_of: SourceRecord | None = None


def parse_frame(
    *,
    source: SourceRecord,
    appended_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
) -> Frame:
    """Read one record of `frames`; where a header is repeated the last one counts.

    Raises BadFrame with the reason for its dead letter.
    """
    if key is None or key == b"":
        raise BadFrame(DeadLetterReason.NO_KEY, "a frame needs a key: line/camera")
    key_text = _text("key", key, DeadLetterReason.BAD_KEY)
    known = {name: _text(name, content) for name, content in headers if name in _KNOWN}
    _check_schema(known.get(PATCHLINE_SCHEMA))
    if CLAIM_URI in known:
        raise BadFrame(DeadLetterReason.CLAIM_CHECK_NOT_ENABLED, "claim checks (header uri) are not enabled")
    if not value:
        raise BadFrame(DeadLetterReason.EMPTY, "the record has no image bytes")
    try:
        view = view_name(key_text, known.get(PRODUCT))
    except BadViewName as error:
        raise BadFrame(DeadLetterReason.BAD_KEY, str(error)) from error
    return Frame(
        view=view,
        key=key_text,
        frame_id=_frame_id(known, source),
        encoded=value,
        source=source,
        appended_ms=appended_ms,
        sequence=_sequence(known),
        captured_at=_captured_at(known),
        content_type=known.get(CONTENT_TYPE),
        product=known.get(PRODUCT),
        part_serial=known.get(PART_SERIAL),
        replay_of=_replay_of(known),
    )


def frame_of_record(record: Record) -> Frame:
    """The frame in a record of `frames` as it was read. Raises BadFrame with the reason for its dead letter."""
    return parse_frame(
        source=SourceRecord.of(record),
        appended_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def view_named_by(key: bytes | None, headers: Sequence[tuple[str, bytes]]) -> str | None:
    """The view of a record that may be no frame, as far as its key and product can be read; None where they cannot."""
    product = next((content for name, content in reversed(headers) if name == PRODUCT), None)
    try:
        return view_name((key or b"").decode(), None if product is None else product.decode())
    except (UnicodeDecodeError, BadViewName):
        return None


_KNOWN = frozenset(
    {
        FRAME_ID,
        SEQUENCE,
        CAPTURED_AT,
        CONTENT_TYPE,
        PRODUCT,
        PART_SERIAL,
        PATCHLINE_SCHEMA,
        CLAIM_URI,
        CLAIM_SHA256,
        CLAIM_SIZE,
        REPLAY_OF,
    }
)
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


def _text(name: str, content: bytes, reason: DeadLetterReason = DeadLetterReason.BAD_HEADER) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFrame(reason, f"{name} is not UTF-8 text") from error


def _check_schema(text: str | None) -> None:
    if text is not None and text != str(SCHEMA):
        raise BadFrame(
            DeadLetterReason.UNKNOWN_SCHEMA, f"header {PATCHLINE_SCHEMA} is {text[:20]!r}, this release reads {SCHEMA}"
        )


def _frame_id(known: dict[str, str], source: SourceRecord) -> str:
    frame_id = known.get(FRAME_ID, f"{source.partition}-{source.offset}")
    if not 0 < len(frame_id) <= MAX_FRAME_ID_CHARACTERS:
        raise BadFrame(
            DeadLetterReason.BAD_HEADER, f"header {FRAME_ID} must be 1 to {MAX_FRAME_ID_CHARACTERS} characters"
        )
    return frame_id


def _sequence(known: dict[str, str]) -> int | None:
    text = known.get(SEQUENCE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**63))):
        raise BadFrame(DeadLetterReason.BAD_HEADER, f"header {SEQUENCE} is {text[:20]!r}, expected a whole number")
    return int(text)


def _captured_at(known: dict[str, str]) -> datetime | None:
    text = known.get(CAPTURED_AT)
    if text is None:
        return None
    try:
        return _MOMENT.validate_strings(text)
    except ValidationError as error:
        raise BadFrame(
            DeadLetterReason.BAD_HEADER, f"header {CAPTURED_AT} is {text[:40]!r}, expected RFC 3339 with an offset"
        ) from error


def _replay_of(known: dict[str, str]) -> SourceRecord | None:
    text = known.get(REPLAY_OF)
    if text is None:
        return None
    try:
        return SourceRecord.parse(text)
    except ValueError as error:
        raise BadFrame(
            DeadLetterReason.BAD_HEADER, f"header {REPLAY_OF} is {text[:80]!r}, expected topic:partition:offset"
        ) from error
