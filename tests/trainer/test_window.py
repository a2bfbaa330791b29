"""The window as a value."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.views import source
from trainer.window import (
    Admission,
    Bounds,
    InvalidIndex,
    KeptFrame,
    WindowIndex,
    admission,
    forgotten,
    holds_bytes,
    kept,
    passed,
    read_anew,
    shrunk,
)

VIEW = "line-1/camera-1"
ROOMY = Bounds(frames=100, bytes=10**9, span_frames=10**6)


def empty() -> WindowIndex:
    """A window that has seen nothing."""
    return WindowIndex(view=VIEW, topic="frames", home=0)


def frame(offset: int, number: int, *, size_bytes: int = 10, partition: int = 0) -> KeptFrame:
    """The frame at an offset, as the `number`-th of its view; its bytes are like no other's."""
    return KeptFrame(
        partition=partition,
        offset=offset,
        number=number,
        frame_id=f"f{partition}-{offset}",
        sha256=f"{partition:032x}{offset:032x}",
        size_bytes=size_bytes,
        appended_ms=offset,
        difference_hash=f"{offset:016x}",
    )


def fed(index: WindowIndex, offsets: range, bounds: Bounds, *, size_bytes: int = 10) -> WindowIndex:
    """The index after the frames at these offsets, as the collector would feed them."""
    for offset in offsets:
        verdict = admission(index, source(offset), frame_id=f"f0-{offset}")
        if verdict is Admission.DUE:
            index = kept(index, frame(offset, index.seen, size_bytes=size_bytes), bounds).index
        elif verdict is Admission.THINNED:
            index = passed(index, source(offset), counted=True)
    return index


def test_a_young_window_holds_every_frame_until_it_is_full() -> None:
    """The first bank is built from all frames that came."""
    index = fed(empty(), range(100), ROOMY)
    assert [each.offset for each in index.frames] == list(range(100))


def test_a_full_window_halves_and_goes_on_at_twice_the_stride() -> None:
    """Evenly over the whole life of the view: every second frame, then every fourth."""
    index = fed(empty(), range(101), ROOMY)
    assert [each.offset for each in index.frames] == list(range(0, 101, 2))
    index = fed(index, range(101, 401), ROOMY)
    assert [each.offset for each in index.frames] == list(range(0, 401, 8))


def test_an_old_window_rolls_over_its_span() -> None:
    """It follows drift: the latest frames at an even stride, none older than the span."""
    bounds = Bounds(frames=10, bytes=10**9, span_frames=45)
    index = fed(empty(), range(1000), bounds)
    assert [each.offset for each in index.frames] == list(range(960, 1000, 4))


@given(
    frames=st.integers(2, 40),
    span_ratio=st.integers(1, 20),
    count=st.integers(0, 400),
    limit_bytes=st.integers(30, 1000),
)
def test_a_window_keeps_its_bounds_and_an_even_stride(
    frames: int, span_ratio: int, count: int, limit_bytes: int
) -> None:
    """Whatever came: never more frames or bytes than allowed, equal distances, the newest at most a stride ago."""
    bounds = Bounds(frames=frames, bytes=limit_bytes, span_frames=frames * span_ratio)
    index = fed(empty(), range(count), bounds)
    numbers = [each.number for each in index.frames]
    assert len(numbers) <= frames
    assert sum(each.size_bytes for each in index.frames) <= limit_bytes
    assert all(later - earlier == index.stride for earlier, later in itertools.pairwise(numbers))
    assert index.seen == count
    if count:
        assert count - 1 - numbers[-1] < index.stride


@pytest.mark.slow
@given(count=st.integers(2, 300), cuts=st.lists(st.integers(0, 299), max_size=6), back=st.integers(0, 50))
def test_a_replay_after_any_crash_gives_the_same_window(count: int, cuts: list[int], back: int) -> None:
    """A frame enters once: reading again from an earlier offset changes nothing, wherever the trainer was stopped."""
    bounds = Bounds(frames=7, bytes=10**9, span_frames=50)
    interrupted = empty()
    for cut in sorted(cuts):
        start = max(0, interrupted.next_offsets.get(0, 0) - back)
        interrupted = fed(interrupted, range(start, min(cut, count)), bounds)
        interrupted = WindowIndex.from_bytes(interrupted.to_bytes())
    assert fed(interrupted, range(count), bounds) == fed(empty(), range(count), bounds)


def test_files_to_write_and_delete_make_the_new_index_true() -> None:
    """Playing the changes on a set of files gives the names in the index, and no name is deleted twice."""
    bounds = Bounds(frames=5, bytes=10**9, span_frames=40)
    index, files = empty(), set[str]()
    for offset in range(200):
        if admission(index, source(offset), frame_id=f"f0-{offset}") is not Admission.DUE:
            index = passed(index, source(offset), counted=True)
            continue
        change = kept(index, frame(offset, index.seen), bounds)
        index = change.index
        if change.write is not None:
            files.add(change.write.name)
        assert {each.name for each in change.delete} <= files
        files -= {each.name for each in change.delete}
        assert files == {each.name for each in index.frames}


@pytest.mark.parametrize(
    ("partition", "offset", "frame_id", "expected"),
    [
        (0, 3, "f0-3", Admission.REPLAYED),
        (0, 9, "f0-8", Admission.DUPLICATE),
        (0, 9, "f0-9", Admission.THINNED),
        (1, 0, "f1-0", Admission.THINNED),
    ],
)
def test_a_frame_is_admitted_once(partition: int, offset: int, frame_id: str, expected: Admission) -> None:
    """By partition and offset, by frame id, and by the stride."""
    index = fed(empty(), range(9), Bounds(frames=8, bytes=10**9, span_frames=100))
    assert index.stride == 2
    assert admission(index, source(offset, partition=partition), frame_id=frame_id) is expected


def test_equal_bytes_are_recognised() -> None:
    """A camera that hangs sends the same picture under new ids."""
    index = fed(empty(), range(3), ROOMY)
    assert holds_bytes(index, frame(2, 0).sha256)
    assert not holds_bytes(index, frame(3, 0).sha256)


def test_a_skipped_frame_takes_no_number() -> None:
    """What cannot be decoded is read on behind, and the next frame of the view takes its place."""
    index = passed(fed(empty(), range(3), ROOMY), source(3), counted=False)
    assert (index.seen, index.next_offsets) == (3, {0: 4})


def test_a_forgotten_window_reads_on_where_it_was() -> None:
    """Relearning starts with the next frame, not with the frames that were forgotten."""
    index = fed(empty(), range(150), ROOMY)
    change = forgotten(index)
    assert (change.index.frames, change.index.seen, change.index.stride) == ((), 0, 1)
    assert change.index.next_offsets == {0: 150}
    assert change.delete == index.frames


def test_narrower_settings_apply_to_a_window_that_is_there() -> None:
    """After a restart with a smaller window the frames are thinned, not kept beyond their bounds."""
    index = fed(empty(), range(64), ROOMY)
    change = shrunk(index, Bounds(frames=16, bytes=10**9, span_frames=1000))
    assert [each.number for each in change.index.frames] == list(range(0, 64, 4))
    assert len(change.delete) == 48


def test_the_index_file_reads_back() -> None:
    """Partitions are numbers again, though JSON has text keys."""
    index = passed(fed(empty(), range(12), ROOMY), source(70, partition=5), counted=True)
    assert WindowIndex.from_bytes(index.to_bytes()) == index


def test_a_damaged_index_says_where() -> None:
    """A cut-off file, and a wrong value."""
    with pytest.raises(InvalidIndex, match=r"^window index, file: Invalid JSON"):
        WindowIndex.from_bytes(empty().to_bytes()[:-5])
    with pytest.raises(InvalidIndex, match=r"^window index, stride: "):
        WindowIndex.from_bytes(empty().to_bytes().replace(b'"stride":1', b'"stride":0'))


@pytest.mark.parametrize(
    ("count", "size_bytes", "full"),
    [(99, 10, False), (100, 10, True), (101, 10, True), (9, 10**8, False), (10, 10**8, True), (0, 10, False)],
)
def test_a_window_is_full_once_it_has_thinned_or_has_no_room(count: int, size_bytes: int, *, full: bool) -> None:
    """By frames, by bytes, and by its stride: a hundred frames fit, or ten of 100 MB."""
    assert fed(empty(), range(count), ROOMY, size_bytes=size_bytes).full(ROOMY) is full


def test_a_window_that_is_read_anew_takes_every_frame_again() -> None:
    """Unlike a forgotten one: the offsets before it are due again."""
    change = read_anew(fed(empty(), range(50), ROOMY))
    assert (change.index.seen, change.index.next_offsets, len(change.delete)) == (0, {}, 50)
    assert admission(change.index, source(0), frame_id="f0-0") is Admission.DUE
