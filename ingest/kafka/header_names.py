"""Header names that are no UTF-8 text: anybody may send one, and kafka-python never gets past it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

if TYPE_CHECKING:
    from ingest.kafka.untyped import Untyped

VARINTS_BEFORE_KEY = 4
"""Length, attributes, timestamp and offset of a record."""


class AnyHeaderName(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python has no annotations
    """A batch of records whose header names may be any bytes: what is no text becomes question marks."""

    def _read_msg(self) -> Untyped:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            make_names_readable(self._buffer, self._pos)
            return super()._read_msg()


def accept_any_header_name() -> None:
    """Have kafka-python read records so; again changes nothing."""
    memory_records.DefaultRecordBatch = AnyHeaderName  # there is no public way


def make_names_readable(buffer: bytearray, pos: int) -> None:
    """In place, in the record that begins at `pos`: lengths stay, so that all the rest is where it was."""
    for _ in range(VARINTS_BEFORE_KEY):
        _, pos = decode_varint(buffer, pos)
    for _ in ("key", "value"):
        size, pos = decode_varint(buffer, pos)
        pos += max(0, size)
    headers, pos = decode_varint(buffer, pos)
    for _ in range(headers):
        size, pos = decode_varint(buffer, pos)
        buffer[pos : pos + size] = readable(bytes(buffer[pos : pos + size]))
        size, pos = decode_varint(buffer, pos + size)
        pos += max(0, size)


def readable(name: bytes) -> bytes:
    """The name; one that is no text with a question mark for each byte that is not ASCII."""
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return bytes(each if each < 0x80 else ord("?") for each in name)  # noqa: PLR2004  the end of ASCII
    return name
