"""The frame contract: any topic of keyed images works; headers say more where a camera knows more.

Frames are the public API, so this module is liberal in what it takes. Only key, picture (or a claim to one) and, where
there is one, product are needed; another header that cannot be read is left out and named in `Frame.unread_headers`,
unknown ones are ignored. What cannot be taken is a `BadFrame` with the reason its dead letter carries.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 -- pydantic reads it at run time
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from ingest.contract import SCHEMA, Moment, SourceRecord
from ingest.view import BadViewName, view_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ingest.kafka.records import Record

T = TypeVar("T")

FRAME_ID = "frame-id"
SEQUENCE = "sequence"
CAPTURED_AT = "captured-at"
CONTENT_TYPE = "content-type"
PRODUCT = "product"
PART_SERIAL = "part-serial"
FILE_NAME = "file-name"
PATCHLINE_SCHEMA = "patchline-schema"
CLAIM_URI = "uri"
CLAIM_SHA256 = "sha256"
CLAIM_SIZE = "size"
REPLAY_OF = "patchline-replay-of"
"""On a replayed frame: the dead letter it comes from, as `topic:partition:offset`."""

MAX_HEADER_CHARACTERS = 256
"""Of the text of a header that a decision repeats."""
MAX_HEADER_BYTES = 4 * MAX_HEADER_CHARACTERS
SHA256_DIGITS = re.compile("[0-9a-fA-F]{64}")


class DeadLetterReason(StrEnum):
    """Why a record of `frames` cannot become a decision."""

    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    BAD_HEADER = "bad_header"
    UNKNOWN_SCHEMA = "unknown_schema"
    CLAIM_CHECK_NOT_ENABLED = "claim_check_not_enabled"
    CLAIM_REFUSED = "claim_refused"
    """A claim outside the places that `claims.prefixes` allows, too large, or whose headers cannot be read."""
    CLAIM_MISSING = "claim_missing"
    """There is no such object, or its store does not give it in time."""
    CLAIM_DIFFERS = "claim_differs"
    """The object has another size or another hash than its claim says."""
    EMPTY = "empty"
    UNSUPPORTED_FORMAT = "unsupported_format"
    TRUNCATED = "truncated"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_SMALL = "too_small"
    TOO_COSTLY = "too_costly"
    CORRUPT = "corrupt"
    TOO_MANY_VIEWS = "too_many_views"
    """More views than `inference.max_views` send at once: does the key hold a serial number?"""
    UNREADABLE = "unreadable"
    """Kafka gives bytes that are no record: a bit flipped on its disk, or a codec nobody knows."""
    ANSWER_TOO_LARGE = "answer_too_large"
    """The topic of decisions takes no message as large as the decision."""


class BadFrame(ValueError):
    """A record that is no frame; `reason` goes into its dead letter, the text says what was wrong."""

    def __init__(self, reason: DeadLetterReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class PictureClaim:
    """Where the picture of a frame without one lies, and what it must be: `ingest.claims.Claims` fetches it."""

    uri: str
    sha256: str
    """64 lower-case hexadecimal digits."""
    size_bytes: int


@dataclass(frozen=True)
class Frame:
    """One frame as it came: the encoded image, or the claim to one, and what its camera recorded with it."""

    view: str
    key: str
    """`line/camera`: the Kafka key of the frame and of its decision."""
    frame_id: str
    encoded: bytes
    """Empty where there is a claim."""
    source: SourceRecord
    appended_ms: int
    """Broker append time, milliseconds since the epoch."""
    sequence: int | None = None
    """Counts up by one from each start of the camera: a gap is a frame lost before Kafka."""
    captured_at: datetime | None = None
    content_type: str | None = None
    product: str | None = None
    part_serial: str | None = None
    file_name: str | None = None
    """Where the picture came from, as a folder camera says it."""
    replay_of: SourceRecord | None = None
    claim: PictureClaim | None = None
    unread_headers: tuple[str, ...] = ()
    """Headers of the contract that say nothing we can read: they are left out, the frame is not."""


def parse_frame(
    *,
    source: SourceRecord,
    first_topic: str,
    appended_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
) -> Frame:
    """Read one record of a topic of frames; where a header is repeated the last one counts.

    `first_topic`: the topic of frames whose name is not part of the ids of frames that came without an id.

    Raises BadFrame with the reason for its dead letter.
    """
    if key is None or key == b"":
        raise BadFrame(DeadLetterReason.NO_KEY, "a frame needs a key: line/camera")
    key_text = _needed("key", key, DeadLetterReason.BAD_KEY)
    optional = _OptionalHeaders({name: content for name, content in headers if name in _KNOWN})
    product = _needed(PRODUCT, optional.given.get(PRODUCT, b""), DeadLetterReason.BAD_HEADER) or None
    _refuse_newer(optional.read(PATCHLINE_SCHEMA, _schema))
    claim = None if value else _claim_in(optional.given)
    try:
        view = view_name(key_text, product)
    except BadViewName as error:
        raise BadFrame(DeadLetterReason.BAD_KEY, str(error)) from error
    return Frame(
        view=view,
        key=key_text,
        frame_id=optional.read(FRAME_ID, _short) or source.default_frame_id(first_topic),
        encoded=value or b"",
        source=source,
        appended_ms=appended_ms,
        sequence=optional.read(SEQUENCE, _whole_number),
        captured_at=optional.read(CAPTURED_AT, _MOMENT.validate_strings),
        content_type=optional.read(CONTENT_TYPE, _short),
        product=product,
        part_serial=optional.read(PART_SERIAL, _short),
        file_name=optional.read(FILE_NAME, _short),
        replay_of=optional.read(REPLAY_OF, SourceRecord.parse),
        claim=claim,
        unread_headers=tuple(optional.unread),
    )


def frame_of_record(record: Record, first_topic: str) -> Frame:
    """The frame in a record of a topic of frames as it was read; see `parse_frame`. Raises BadFrame as it does."""
    if record.unread is not None:
        first, last = record.unread.first_offset, record.offset
        raise BadFrame(DeadLetterReason.UNREADABLE, f"offsets {first} to {last} cannot be read: {record.unread.why}")
    return parse_frame(
        source=SourceRecord.of(record),
        first_topic=first_topic,
        appended_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )


def view_named_by(key: bytes | None, headers: Sequence[tuple[str, bytes]]) -> str | None:
    """The view of a record that may be no frame, as far as its key and product can be read; None where they cannot."""
    product = next((content for name, content in reversed(headers) if name == PRODUCT), None)
    try:
        return view_name((key or b"").decode(), product.decode() if product else None)
    except (UnicodeDecodeError, BadViewName):
        return None


OPTIONAL_HEADERS = (FRAME_ID, SEQUENCE, CAPTURED_AT, CONTENT_TYPE, PART_SERIAL, FILE_NAME, PATCHLINE_SCHEMA, REPLAY_OF)
"""Those that a frame does without where they cannot be read."""
_KNOWN = frozenset({*OPTIONAL_HEADERS, PRODUCT, CLAIM_URI, CLAIM_SHA256, CLAIM_SIZE})
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@dataclass(frozen=True)
class _OptionalHeaders:
    """The headers of one record as they came, and the names of those that could not be read so far."""

    given: Mapping[str, bytes]
    unread: list[str] = field(default_factory=list)

    def read(self, name: str, parse: Callable[[str], T]) -> T | None:
        """What a header says, by a parser that raises ValueError; None where it is absent, empty or unreadable."""
        content = self.given.get(name)
        if not content:
            return None
        try:
            if len(content) > MAX_HEADER_BYTES:
                raise ValueError("too long")  # noqa: TRY301 -- the one place that notes what is unreadable is below
            return parse(content.decode("utf-8"))
        except ValueError:
            self.unread.append(name)
            return None


def _needed(name: str, content: bytes, reason: DeadLetterReason) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadFrame(reason, f"{name} is not UTF-8 text") from error


def _refuse_newer(schema: int | None) -> None:
    if schema is not None and schema > SCHEMA:
        raise BadFrame(
            DeadLetterReason.UNKNOWN_SCHEMA, f"header {PATCHLINE_SCHEMA} is {schema}, this release reads {SCHEMA}"
        )


def _claim_in(given: Mapping[str, bytes]) -> PictureClaim:
    """What a record without a picture claims. A `uri` beside a picture is the sender's own affair."""
    if not given.get(CLAIM_URI):
        raise BadFrame(DeadLetterReason.EMPTY, "the record has no image bytes")
    try:
        uri, sha256, size = (_claimed(name, given) for name in (CLAIM_URI, CLAIM_SHA256, CLAIM_SIZE))
        if not SHA256_DIGITS.fullmatch(sha256):
            raise ValueError(f"{CLAIM_SHA256} is not 64 hexadecimal digits")  # noqa: TRY301 -- one place answers
        return PictureClaim(uri, sha256.lower(), _whole_number(size))
    except ValueError as error:
        raise BadFrame(DeadLetterReason.CLAIM_REFUSED, f"the claim cannot be read: {error}") from error


def _claimed(name: str, given: Mapping[str, bytes]) -> str:
    content = given.get(name, b"")
    if not 0 < len(content) <= MAX_HEADER_BYTES:
        raise ValueError(f"header {name} is missing or too long")
    return content.decode("utf-8")


def _short(text: str) -> str:
    if len(text) > MAX_HEADER_CHARACTERS:
        raise ValueError("too long")
    return text


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**63))):
        raise ValueError("not a whole number")
    return int(text)


def _schema(text: str) -> int:
    found = _whole_number(text)
    if found < 1:
        raise ValueError("versions count from 1")
    return found
