"""kafka-python's records as ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.kafka.record_batches import UnreadKey
from ingest.kafka.records import Claim, Record, Unread

if TYPE_CHECKING:
    from ingest.kafka.untyped import Untyped


def record_from(consumed: Untyped, claim: Claim | None = None) -> Record:
    """One consumed record; a header without a value counts as empty."""
    unread = None
    if isinstance(consumed.key, UnreadKey):
        unread = Unread(consumed.key.first_offset, consumed.key.why)
    return Record(
        topic=consumed.topic,
        partition=consumed.partition,
        offset=consumed.offset,
        timestamp_ms=consumed.timestamp,
        timestamp_type="log_append_time" if consumed.timestamp_type == 1 else "create_time",
        key=None if unread else _owned(consumed.key),
        value=_owned(consumed.value),
        headers=tuple((name, _owned(value) or b"") for name, value in consumed.headers),
        claim=claim,
        unread=unread,
    )


def _owned(value: bytes | memoryview | None) -> bytes | None:
    """Bytes of our own: a view would keep the whole fetch response alive."""
    return value if value is None or isinstance(value, bytes) else bytes(value)
