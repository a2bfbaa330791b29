"""Of recorded decisions, each input record is seen of once."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from deploy.history.decision_reader import PAGE, SeenRecords
from ingest.contract import SourceRecord

SOURCES = st.builds(
    SourceRecord,
    topic=st.sampled_from(["frames", "frames.dead-letter"]),
    partition=st.integers(0, 1),
    offset=st.integers(0, 9) | st.integers(PAGE - 9, PAGE + 9) | st.integers(10**12, 10**12 + 9),
)


@given(st.lists(SOURCES, max_size=60))
def test_a_record_is_new_the_first_time_only(sources: list[SourceRecord]) -> None:
    """In any order, as by a set of them."""
    seen, by_set = SeenRecords(), set[SourceRecord]()
    for source in sources:
        assert seen.first(source) == (source not in by_set)
        by_set.add(source)


def test_many_records_take_little_memory() -> None:
    """A bit each and a page's rounding, where a set of them would take hundreds of bytes each."""
    seen = SeenRecords()
    records = [SourceRecord(topic="frames", partition=0, offset=10**9 + n) for n in range(10_000)]
    tracemalloc.start()
    try:
        for record in records:
            seen.first(record)
        assert tracemalloc.get_traced_memory()[1] < 4 * PAGE // 8
    finally:
        tracemalloc.stop()
