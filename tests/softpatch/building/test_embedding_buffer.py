"""A buffer in a file gives back the same embeddings as one in memory."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.building.calibration_blocks import calibration_blocks, contiguous_blocks
from softpatch.building.embedding_buffer import FileBuffer, MemoryBuffer, buffer_for
from softpatch.building.frame_groups import interleaved_groups
from softpatch.network.sketch import sketch
from softpatch.settings import BuildSettings

SHAPE = (2, 3, 5)


@pytest.mark.parametrize("frames", [range(7), range(2, 5), range(1, 7, 3), range(6, 7)])
def test_a_range_read_back_is_what_was_appended(frames: range) -> None:
    """In memory and in a file, appended in uneven batches, read in any order."""
    written = np.random.default_rng(0).normal(size=(7, *SHAPE)).astype(np.float32)
    for buffer in (MemoryBuffer(9, SHAPE), FileBuffer(SHAPE)):
        buffer.append(written[:3])
        buffer.append(written[3:])
        np.testing.assert_array_equal(buffer.take(frames), written[list(frames)])
        assert (len(buffer), buffer.dimension) == (7, SHAPE[-1])


def test_threads_that_read_side_by_side_get_the_frames_they_asked_for() -> None:
    """A build reads on several threads: with one file position for all, one frame in fifteen was another's."""
    shape = (28, 28, 152)
    buffer = FileBuffer(shape)
    for frame in range(16):
        buffer.append(np.full((1, *shape), frame, np.float32))
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda frame: buffer.take(range(frame, frame + 1)), [*range(16)] * 8))
    assert [np.unique(each).tolist() for each in read] == [[float(frame)] for frame in range(16)] * 8


def test_a_frame_never_appended_is_an_error() -> None:
    """Not zeros, not a short array."""
    buffer = FileBuffer(SHAPE)
    buffer.append(np.zeros((2, *SHAPE), np.float32))
    with pytest.raises(EOFError, match=r"^frame 2 was never appended$"):
        buffer.take(range(3))


def test_many_frames_go_to_a_file() -> None:
    """120 bytes a frame: four fit into 500 bytes, five do not."""
    assert isinstance(buffer_for(4, SHAPE, memory_bytes=500), MemoryBuffer)
    assert isinstance(buffer_for(5, SHAPE, memory_bytes=500), FileBuffer)


def test_groups_interleave_and_blocks_are_contiguous() -> None:
    """Every frame in one group and in one block; groups are full but no fuller."""
    groups = interleaved_groups(range(10, 21), 4)
    assert [list(group) for group in groups] == [[10, 13, 16, 19], [11, 14, 17, 20], [12, 15, 18]]
    assert [list(block) for block in contiguous_blocks(8, 3)] == [[0, 1], [2, 3, 4], [5, 6, 7]]


def test_a_sketch_depends_on_the_graph_and_on_nothing_else() -> None:
    """Same graph, same projection of the mean patch: linear, and other for another graph."""
    one, other = np.random.default_rng(0).normal(size=(2, 3, 4, 9)).astype(np.float32)
    np.testing.assert_allclose(
        sketch((one + other) / 2, "a" * 64), (sketch(one, "a" * 64) + sketch(other, "a" * 64)) / 2, atol=1e-5
    )
    np.testing.assert_allclose(sketch(one, "a" * 64), sketch(one.transpose(1, 0, 2), "a" * 64), atol=1e-5)
    assert not np.allclose(sketch(one, "a" * 64), sketch(one, "b" * 64))


def test_a_short_window_is_calibrated_in_three_blocks_and_a_longer_one_in_more() -> None:
    """Twenty frames a block at least, unless three are fewer; and never more than asked."""
    assert [len(calibration_blocks(frames, 6)) for frames in (30, 60, 80, 120, 10_000)] == [3, 3, 4, 6, 6]
    assert len(calibration_blocks(1000, 2)) == 2
    default = BuildSettings().calibration_blocks
    assert [len(calibration_blocks(frames, default)) for frames in (240, 400, 1000, 10_000)] == [12, 20, 50, 50]
