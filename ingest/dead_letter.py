"""The dead letter contract: a record of `frames` that no decision can be made of, untouched, with the reason.

A dead letter is the record itself: same key, value and headers, and our headers after them. Where all of it would not
fit, the value is left out, then the sender's headers, then the key; ours say where the record stands, what its value
hashes to, and what was left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ingest.contract import BadMessage, SourceRecord
from ingest.frame import DeadLetterReason, view_named_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REASON = "patchline-dead-letter-reason"
DETAIL = "patchline-dead-letter-detail"
SOURCE = "patchline-dead-letter-source"
AT = "patchline-dead-letter-at"
SHA256 = "patchline-dead-letter-sha256"
SIZE = "patchline-dead-letter-size"
LEFT_OUT = "patchline-dead-letter-left-out"
FIRST_OFFSET = "patchline-dead-letter-first-offset"
OURS = frozenset({REASON, DETAIL, SOURCE, AT, SHA256, SIZE, LEFT_OUT, FIRST_OFFSET})

MAX_DETAIL_CHARACTERS = 500
OUR_BYTES = 8 * 2**10
"""More than our headers and the batch around them take."""
HEADER_OVERHEAD_BYTES = 10
"""Of each header of a record: two lengths, of five bytes at most."""
MAX_MESSAGE_BYTES = 12 * 2**20
"""What the topic takes, as `patchline topics create` makes it."""


@dataclass(frozen=True)
class DeadLetter:
    """One record that could not be decided. `value` is None where only a pointer (`source`) and the hash were kept."""

    source: SourceRecord
    reason: DeadLetterReason
    detail: str
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    """As the sender wrote them."""
    sha256: str
    size_bytes: int
    left_out: tuple[str, ...] = ()
    """What of the record did not fit: value, headers, key, in this order."""
    first_offset: int | None = None
    """Of a broken batch: it stands for all records from this offset to that of `source`."""

    @property
    def view(self) -> str | None:
        """The view its key and product name; None where they name none."""
        return view_named_by(self.key, self.headers)

    @property
    def pointer_only(self) -> bool:
        """Whether the bytes stayed in `frames`, because they would not fit."""
        return self.value is None and self.size_bytes > 0


def dead_letter_of(
    *,
    source: SourceRecord,
    reason: DeadLetterReason,
    detail: str,
    at: datetime,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
    message_bytes: int = MAX_MESSAGE_BYTES,
    first_offset: int | None = None,
) -> DeadLetter:
    """The dead letter of a record as it came, as much of it as fits into a message of `message_bytes`."""
    content = value or b""
    theirs = tuple((name, data) for name, data in headers if name not in OURS)
    sizes = {"value": len(content), "headers": _size_bytes(theirs), "key": len(key or b"")}
    left_out = _left_out(sizes, message_bytes - OUR_BYTES)
    return DeadLetter(
        source=source,
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARACTERS],
        at=at,
        key=None if "key" in left_out else key,
        value=None if "value" in left_out else value,
        headers=() if "headers" in left_out else theirs,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        left_out=left_out,
        first_offset=first_offset,
    )


def _left_out(sizes: Mapping[str, int], room_bytes: int) -> tuple[str, ...]:
    """The parts that go, one after the other, until the rest fits."""
    left_out: list[str] = []
    for part in sizes:
        if sum(size for each, size in sizes.items() if each not in left_out) <= room_bytes:
            break
        left_out.append(part)
    return tuple(left_out)


def _size_bytes(headers: Sequence[tuple[str, bytes]]) -> int:
    return sum(len(name.encode()) + len(data) + HEADER_OVERHEAD_BYTES for name, data in headers)


def headers_of(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """The headers of the dead-letter record: the sender's, then ours."""
    ours = {
        REASON: letter.reason.value,
        DETAIL: letter.detail,
        SOURCE: str(letter.source),
        AT: letter.at.isoformat(),
        SHA256: letter.sha256,
        SIZE: str(letter.size_bytes),
        **({LEFT_OUT: ",".join(letter.left_out)} if letter.left_out else {}),
        **({FIRST_OFFSET: str(letter.first_offset)} if letter.first_offset is not None else {}),
    }
    return (*letter.headers, *((name, text.encode()) for name, text in ours.items()))


def parse_dead_letter(*, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> DeadLetter:
    """Read a record of `frames.dead-letter`.

    Raises BadMessage where a header of ours is missing or wrong.
    """
    ours = {name: data.decode("utf-8", "replace") for name, data in headers if name in OURS}
    try:
        size = int(ours[SIZE])
        return DeadLetter(
            source=SourceRecord.parse(ours[SOURCE]),
            reason=DeadLetterReason(ours[REASON]),
            detail=ours[DETAIL],
            at=datetime.fromisoformat(ours[AT]),
            key=key,
            value=value if value or size == 0 else None,
            headers=tuple((name, data) for name, data in headers if name not in OURS),
            sha256=ours[SHA256],
            size_bytes=size,
            left_out=tuple(ours[LEFT_OUT].split(",")) if LEFT_OUT in ours else (),
            first_offset=int(ours[FIRST_OFFSET]) if FIRST_OFFSET in ours else None,
        )
    except (KeyError, ValueError) as error:
        raise BadMessage(f"not a dead letter of ours: {error}") from error
