"""Every codec of Kafka undone, within a bound, and nothing but a named error for what is none of them."""

from __future__ import annotations

import contextlib
import gzip
import struct

import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest.kafka import codecs
from ingest.kafka.codecs import XERIAL, CannotUnpack, Codec, unpacked

TEXT = b"a line of frames " * 5000


def xerial(data: bytes, block: int = 32 * 1024) -> bytes:
    """As Java's and librdkafka's producers pack: blocks, each with its length."""
    blocks = [bytes(cramjam.snappy.compress_raw(data[at : at + block])) for at in range(0, len(data), block)]
    return XERIAL + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(each)) + each for each in blocks)


PACKED = {
    "gzip": (Codec.GZIP, gzip.compress(TEXT)),
    "gzip of two members": (Codec.GZIP, gzip.compress(TEXT[:100]) + gzip.compress(TEXT[100:])),
    "snappy": (Codec.SNAPPY, bytes(cramjam.snappy.compress_raw(TEXT))),
    "snappy in blocks": (Codec.SNAPPY, xerial(TEXT)),
    "lz4": (Codec.LZ4, lz4.frame.compress(TEXT)),
    "lz4 in independent blocks": (Codec.LZ4, lz4.frame.compress(TEXT, block_linked=False, content_checksum=True)),
    "zstd": (Codec.ZSTD, zstandard.ZstdCompressor().compress(TEXT)),
}


@pytest.mark.parametrize(("codec", "data"), PACKED.values(), ids=PACKED)
def test_what_a_sender_packed_is_unpacked(codec: Codec, data: bytes) -> None:
    """By whichever of its forms."""
    assert unpacked(codec, data) == TEXT


@pytest.mark.parametrize(("codec", "data"), PACKED.values(), ids=PACKED)
def test_a_few_kilobytes_do_not_become_all_of_the_memory(
    codec: Codec, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb costs its own batch."""
    monkeypatch.setattr(codecs, "MOST_BYTES", len(TEXT) - 1)
    with pytest.raises(CannotUnpack, match="more than"):
        unpacked(codec, data)


@pytest.mark.parametrize(
    ("codec", "data"), [each for each in PACKED.values() if each[0] is not Codec.ZSTD], ids=[*PACKED][:-1]
)
def test_what_ends_in_the_middle_is_broken(codec: Codec, data: bytes) -> None:
    """Not a shorter text; zstd's reader gives what it has, and the batch's count of records tells."""
    with pytest.raises(CannotUnpack, match="broken"):
        unpacked(codec, data[: len(data) // 2])


@given(st.sampled_from(sorted(PACKED)), st.data())
def test_any_bytes_are_unpacked_or_a_named_error(name: str, data: st.DataObject) -> None:
    """Whatever a disk makes of them."""
    codec, packed = PACKED[name]
    at, put = data.draw(st.integers(0, len(packed))), data.draw(st.binary(max_size=8))
    with contextlib.suppress(CannotUnpack):
        unpacked(codec, packed[:at] + put + packed[at + len(put) :])


def test_a_codec_of_tomorrow_is_a_named_error() -> None:
    """Its batch is passed by."""
    with pytest.raises(CannotUnpack, match="codec 5 is unknown"):
        unpacked(5, b"")
