"""The dead letter contract: a record of `frames` that no decision can be made of, untouched, with the reason.

A dead letter is the record itself: same key, value and headers, and our headers after them. Where the bytes would not
fit, the value is empty and the headers say where they stand and what they hash to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ingest.contract import BadMessage, SourceRecord
from ingest.frame import DeadLetterReason, view_named_by

if TYPE_CHECKING:
    from collections.abc import Sequence

REASON = "patchline-dead-letter-reason"
DETAIL = "patchline-dead-letter-detail"
SOURCE = "patchline-dead-letter-source"
AT = "patchline-dead-letter-at"
SHA256 = "patchline-dead-letter-sha256"
SIZE = "patchline-dead-letter-size"
OURS = frozenset({REASON, DETAIL, SOURCE, AT, SHA256, SIZE})

MAX_DETAIL_CHARACTERS = 500
MAX_RECORD_BYTES = 12 * 2**20 - 64 * 2**10
"""Key, value and headers of what fits into a message of 12 MiB, with room for ours and the batch's own bytes."""


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
) -> DeadLetter:
    """The dead letter of a record as it came."""
    content = value or b""
    theirs = tuple((name, data) for name, data in headers if name not in OURS)
    size = len(key or b"") + len(content) + sum(len(name) + len(data) for name, data in theirs)
    return DeadLetter(
        source=source,
        reason=reason,
        detail=detail[:MAX_DETAIL_CHARACTERS],
        at=at,
        key=key,
        value=value if size <= MAX_RECORD_BYTES else None,
        headers=theirs,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def headers_of(letter: DeadLetter) -> tuple[tuple[str, bytes], ...]:
    """The headers of the dead-letter record: the sender's, then ours."""
    ours = {
        REASON: letter.reason.value,
        DETAIL: letter.detail,
        SOURCE: str(letter.source),
        AT: letter.at.isoformat(),
        SHA256: letter.sha256,
        SIZE: str(letter.size_bytes),
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
        )
    except (KeyError, ValueError) as error:
        raise BadMessage(f"not a dead letter of ours: {error}") from error
