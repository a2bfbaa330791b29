"""Batches as a fetch brings them, read so that one that is broken costs its own records and no others.

kafka-python raises for a batch with a flipped bit, of an unknown codec or with a record that is none, for ever: the
partition, and whoever polls it, stands still. Here such a batch gives the records that can be read, and one that says
which offsets cannot (`Unread`, in the place of its key).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kafka.consumer import fetcher
from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords

from ingest.kafka.codecs import CannotUnpack, unpacked
from ingest.kafka.header_names import make_names_readable

if TYPE_CHECKING:
    from ingest.kafka.untyped import Untyped

MAX_WHY_CHARACTERS = 200


class UnreadKey(bytes):
    """In the place of the key of a record that could not be read."""

    first_offset: int
    why: str

    @classmethod
    def of(cls, first_offset: int, why: str) -> UnreadKey:
        """The offsets from this one to the record's own cannot be read, for this reason."""
        made = cls()
        made.first_offset, made.why = first_offset, why[:MAX_WHY_CHARACTERS]
        return made


class AnyBatch(DefaultRecordBatch):  # type: ignore[misc]  # kafka-python has no annotations
    """A batch that is read as far as it can be; its codec is undone with a bound, header names may be any bytes."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def __init__(self, buffer: Untyped) -> None:
        super().__init__(buffer)
        self._unread_from = self.base_offset
        self._fault: str | None = None
        self._following: int | None = None
        """Where the next batch of the fetch begins, if there is one."""

    def followed_by(self, offset: int) -> None:
        """Say where the next batch begins: a broken one may be wrong about where it ends itself."""
        self._following = offset

    def validate_crc(self) -> bool:
        """Yes: where the checksum does not match, the batch says so when it is read."""
        if not super().validate_crc():
            self._fault = "the checksum of its batch does not match"
        return True

    @property
    def is_control_batch(self) -> bool:
        """Not of a broken one: nothing it says of itself can be trusted, and its records are to be told."""
        return self._fault is None and bool(super().is_control_batch)

    @property
    def is_transactional(self) -> bool:
        """Likewise."""
        return self._fault is None and bool(super().is_transactional)

    @property
    def last_offset(self) -> int:
        """Its own word, unless it is broken."""
        if self._fault is None:
            return int(super().last_offset)
        if self._following is not None:
            return self._following - 1
        return int(self.base_offset + max(0, min(self.last_offset_delta, self.records_count - 1)))

    def __iter__(self) -> AnyBatch:
        if self._fault is None:
            try:
                self._maybe_uncompress()
            except CannotUnpack as error:
                self._fault = str(error)
        return self

    def __next__(self) -> Untyped:
        if self._fault is None:
            try:
                read = super().__next__()
            except CorruptRecordError as error:
                self._fault = str(error)
            else:
                self._unread_from = read.offset + 1
                return read
        return self._next_unread()

    next = __next__

    def _next_unread(self) -> Untyped:
        first, last = self._unread_from, self.last_offset
        if first > last:
            raise StopIteration
        self._unread_from = last + 1
        key = UnreadKey.of(first, self._fault or "")
        return DefaultRecord(0, last, self.max_timestamp, self.timestamp_type, key, None, [])

    def _maybe_uncompress(self) -> None:
        if not self._decompressed and self.compression_type:
            self._buffer = bytearray(unpacked(self.compression_type, bytes(memoryview(self._buffer)[self._pos :])))
            self._pos = 0
        self._decompressed = True

    def _read_msg(self) -> Untyped:
        try:
            return super()._read_msg()
        except UnicodeDecodeError:
            make_names_readable(self._buffer, self._pos)
            return super()._read_msg()


class AnyRecords(MemoryRecords):  # type: ignore[misc]  # kafka-python has no annotations
    """The batches of one fetch, each knowing where the next one begins."""

    def next_batch(self) -> Untyped:
        """The next one, or None."""
        batch = super().next_batch()
        if isinstance(batch, AnyBatch) and self._next_slice is not None:
            batch.followed_by(struct.unpack_from(">q", self._next_slice)[0])
        return batch


def read_any_batch() -> None:
    """Have kafka-python's consumers read batches so; again changes nothing."""
    memory_records.DefaultRecordBatch = AnyBatch  # there is no public way
    fetcher.MemoryRecords = AnyRecords
