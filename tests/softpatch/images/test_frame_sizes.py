"""A frame fits where it is about as large as those learnt, and of their shape."""

import pytest

from softpatch.images.frame_sizes import FrameSizes

ONE_SIZE = FrameSizes.of([(1600, 1200), (1600, 1200), (1280, 960)])
MANY_SHAPES = FrameSizes.of([(244, 593), (375, 265), (288, 113)])


@pytest.mark.parametrize("size_wh", [(1600, 1200), (1280, 960), (3200, 2400), (1200, 900), (1600, 1120)])
def test_what_is_large_enough_and_of_that_shape_fits(size_wh: tuple[int, int]) -> None:
    """As learnt, larger, a tenth smaller than the smallest, a little cropped."""
    assert ONE_SIZE.fit(size_wh)


@pytest.mark.parametrize("size_wh", [(640, 480), (1100, 825), (1200, 1600), (1920, 1080), (1600, 1200 // 2)])
def test_what_is_smaller_or_of_another_shape_does_not(size_wh: tuple[int, int]) -> None:
    """A binned sensor, a turned camera, another format, half the rows."""
    assert not ONE_SIZE.fit(size_wh)


def test_a_line_of_many_shapes_takes_all_between_them() -> None:
    """From the narrowest to the widest; the most frequent size is the first of equals."""
    assert MANY_SHAPES.fit((300, 300))
    assert not MANY_SHAPES.fit((1000, 300))
    assert (MANY_SHAPES.width_px, MANY_SHAPES.least_width_px, MANY_SHAPES.least_height_px) == (244, 244, 113)
