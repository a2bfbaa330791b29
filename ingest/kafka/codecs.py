"""The four codecs a sender may choose, undone with a bound: a few kilobytes must not become all memory."""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from io import BytesIO
from typing import TYPE_CHECKING

import cramjam
import lz4.frame
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_BYTES = 256 * 2**20
"""Of one batch, unpacked: bitmaps of 10 MiB that pack to a twentieth fit."""
GZIP_WINDOW = 31
"""zlib's window for data in gzip's wrapper."""
XERIAL = b"\x82SNAPPY\x00"
"""What Java's and librdkafka's snappy begins with: blocks of their own length follow after 16 bytes."""
XERIAL_HEADER_BYTES = 16


class Codec(IntEnum):
    """As a batch's attributes name it."""

    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


class CannotUnpack(ValueError):
    """The bytes are not what the codec made, or more than `MOST_BYTES` would come of them."""


def unpacked(codec: int, data: bytes) -> bytes:
    """What was packed. Raises CannotUnpack."""
    unpack = _CODECS.get(codec)
    if unpack is None:
        raise CannotUnpack(f"codec {codec} is unknown")
    try:
        return unpack(data)
    except (cramjam.DecompressionError, zstandard.ZstdError, zlib.error, RuntimeError, EOFError, struct.error) as error:
        raise CannotUnpack(f"{Codec(codec).name.lower()} data is broken: {error}") from error


def _bounded(data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise CannotUnpack(f"more than {MOST_BYTES} bytes would come of it")
    return data


def _gzip(data: bytes) -> bytes:
    whole = b""
    while data:
        member = zlib.decompressobj(GZIP_WINDOW)
        whole = _bounded(whole + member.decompress(data, MOST_BYTES + 1 - len(whole)))
        if not member.eof:
            raise EOFError("it ends in the middle")
        data = member.unused_data
    return whole


def _snappy(data: bytes) -> bytes:
    if not data.startswith(XERIAL):
        return _snappy_block(data)
    blocks, at, size = [], XERIAL_HEADER_BYTES, 0
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if not 0 <= length <= len(data) - at - 4:
            raise EOFError("a block ends in the middle")
        blocks.append(_snappy_block(data[at + 4 : at + 4 + length], size))
        size += len(blocks[-1])
        at += 4 + length
    return b"".join(blocks)


def _snappy_block(data: bytes, before: int = 0) -> bytes:
    if before + cramjam.snappy.decompress_raw_len(data) > MOST_BYTES:
        raise CannotUnpack(f"more than {MOST_BYTES} bytes would come of it")
    return bytes(cramjam.snappy.decompress_raw(data))


def _lz4(data: bytes) -> bytes:
    frame = lz4.frame.LZ4FrameDecompressor()
    whole = _bounded(bytes(frame.decompress(data, max_length=MOST_BYTES + 1)))
    if not frame.eof:
        raise EOFError("it ends in the middle")
    return whole


def _zstd(data: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(BytesIO(data), read_across_frames=True) as reader:
        return _bounded(reader.read(MOST_BYTES + 1))


_CODECS: Mapping[int, Callable[[bytes], bytes]] = {
    Codec.GZIP: _gzip,
    Codec.SNAPPY: _snappy,
    Codec.LZ4: _lz4,
    Codec.ZSTD: _zstd,
}
