"""Header names that are no UTF-8 text: anybody may send one, and kafka-python never gets past it."""

from __future__ import annotations

from kafka.record.util import decode_varint

VARINTS_BEFORE_KEY = 4
"""Length, attributes, timestamp and offset of a record."""


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
