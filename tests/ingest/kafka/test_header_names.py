"""A header name of any bytes: the record is read, and the records beside it."""

from __future__ import annotations

import pytest
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from ingest.kafka.record_batches import AnyBatch, read_any_batch

LATIN = b"Gr\xf6\xdfe"


class Raw(str):
    """Text that is these bytes on the wire, whatever encoding is asked of it."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:  # noqa: ARG002
        """As a client that writes names without looking at them."""
        return LATIN


def batch(compression: int = 0) -> bytes:
    """Three records; the second one's first header has a name in Latin-1, and the same bytes stand in its value."""
    builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1_000_000)
    builder.append(0, 1, b"k", b"first", [])
    builder.append(1, 1, b"k", b"<" + LATIN + b">", [(Raw("size"), LATIN), ("product", b"nut"), ("Maß", b"\xff")])
    builder.append(2, 1, None, None, [("product", None)])
    return bytes(builder.build())


def test_kafka_python_alone_never_gets_past_such_a_record() -> None:
    """Should it learn to, this file is no longer needed."""
    with pytest.raises(CorruptRecordError, match="UnicodeDecodeError"):
        list(DefaultRecordBatch(batch()))


@pytest.mark.parametrize("compression", [0, DefaultRecordBatch.CODEC_GZIP])
def test_the_name_becomes_readable_and_nothing_else_changes(compression: int) -> None:
    """Values that hold the same bytes, other names and the other records stay as they were sent."""
    found = [(each.offset, each.key, each.value, each.headers) for each in AnyBatch(batch(compression))]
    assert found == [
        (0, b"k", b"first", []),
        (1, b"k", b"<" + LATIN + b">", [("Gr??e", LATIN), ("product", b"nut"), ("Maß", b"\xff")]),
        (2, None, None, [("product", None)]),
    ]


def test_what_is_fetched_is_read_so() -> None:
    """kafka-python makes its batches of our class once it was asked to."""
    read_any_batch()
    fetched = MemoryRecords(batch()).next_batch()
    assert [each.offset for each in fetched] == [0, 1, 2]
