"""Batches that are broken: what can be read of them is, the rest is told, and the next batch is read as ever."""

from __future__ import annotations

import contextlib
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from ingest.kafka.record_batches import AnyBatch, AnyRecords, UnreadKey, read_any_batch

CODEC = DefaultRecordBatch.ATTRIBUTES_OFFSET + 1
"""The byte of a batch whose low bits name its codec."""


def batch(base: int, values: list[bytes]) -> bytearray:
    """A batch as a broker keeps it."""
    builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 1_000_000)
    for number, value in enumerate(values):
        builder.append(number, 1, b"k", value, [])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    return data


def sealed(data: bytearray) -> bytearray:
    """With the checksum of what it is now: the sender's own fault, not the disk's."""
    attributes = DefaultRecordBatch.ATTRIBUTES_OFFSET
    data[attributes - 4 : attributes] = calc_crc32c(memoryview(data)[attributes:]).to_bytes(4, "big")
    return data


def read(data: bytes, *, at: int = 0) -> tuple[list[bytes | tuple[int, int]], int]:
    """What kafka-python's fetcher gives of a fetch from an offset: values, or offsets unread; and where it goes on."""
    read_any_batch()
    records = Fetcher.PartitionRecords(at, TopicPartition("frames", 0), AnyRecords(data))
    found = [
        (each.key.first_offset, each.offset) if isinstance(each.key, UnreadKey) else each.value
        for each in deque(records.take(1000))
    ]
    return found, records.next_fetch_offset


def test_kafka_python_alone_stands_still_before_a_flipped_bit() -> None:
    """Should it learn to go on, this file is no longer needed."""
    broken = batch(0, [b"a"])
    broken[-3] ^= 1
    assert not DefaultRecordBatch(broken).validate_crc()
    unknown = sealed(batch(0, [b"a"]))
    unknown[CODEC] = 5
    with pytest.raises(Exception, match="Unrecognized compression type"):
        list(DefaultRecordBatch(sealed(unknown)))


@pytest.mark.parametrize("byte", [DefaultRecordBatch.ATTRIBUTES_OFFSET, CODEC, 23, 24, 26, 30, 50, 57, 60, 65, -3])
def test_a_flipped_bit_costs_its_batch(byte: int) -> None:
    """Wherever it is behind the checksum: in the codec, the count, the last offset, or a picture."""
    broken = batch(1, [b"b", b"c"])
    for bit in range(8):
        broken[byte] ^= 1 << bit
        assert read(batch(0, [b"a"]) + broken + batch(3, [b"d"])) == ([b"a", (1, 2), b"d"], 4)
        broken[byte] ^= 1 << bit


def test_a_broken_batch_at_the_end_is_told_once() -> None:
    """Nothing follows that would say where it ends; reading goes on behind it, or within it."""
    broken = batch(1, [b"b", b"c"])
    broken[-3] ^= 1
    assert read(batch(0, [b"a"]) + broken) == ([b"a", (1, 2)], 3)
    assert read(broken + batch(3, [b"d"]), at=2) == ([(1, 2), b"d"], 4)


def test_an_unknown_codec_and_packed_nonsense_cost_their_batch() -> None:
    """The checksum is right: the sender made it so."""
    for codec in (1, 2, 3, 4, 5, 6, 7):
        strange = batch(1, [b"b", b"c"])
        strange[CODEC] |= codec
        assert read(sealed(strange) + batch(3, [b"d"])) == ([(1, 2), b"d"], 4)


def test_a_record_that_is_none_costs_itself_and_what_comes_behind_it_in_its_batch() -> None:
    """The ones before it are read."""
    strange = batch(1, [b"b", b"xxxx", b"yyyy"])
    strange[strange.index(b"xxxx") - 1] = 0x7F  # a length of -64
    with pytest.raises(CorruptRecordError):
        list(DefaultRecordBatch(sealed(strange)))
    assert read(sealed(strange) + batch(4, [b"d"])) == ([b"b", (2, 3), b"d"], 5)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4), st.data())
def test_no_bytes_behind_the_length_keep_the_next_batch_from_being_read(
    values: list[bytes], data: st.DataObject
) -> None:
    """Sealed or not."""
    broken = batch(1, values)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(DefaultRecordBatch.CRC_OFFSET, len(broken) - 1))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        sealed(broken)
    found, following = read(bytes(broken + batch(1 + len(values), [b"next"])))
    assert found[-1:] == [b"next"]
    assert following == 2 + len(values)


def test_a_batch_that_is_well_is_read_as_ever() -> None:
    """Its attributes too."""
    whole = AnyBatch(batch(7, [b"a", b"b"]))
    assert whole.validate_crc()
    assert (whole.last_offset, whole.is_control_batch, whole.is_transactional) == (8, False, False)
    assert [(each.offset, each.value) for each in whole] == [(7, b"a"), (8, b"b")]
    with contextlib.suppress(StopIteration):
        next(whole)
