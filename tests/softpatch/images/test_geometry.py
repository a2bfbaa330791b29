"""The network's input is what each mode says, keeps small defects, and boxes find their way back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from softpatch.images.geometry import Geometry, resize

MODES = ["squash", "letterbox", "crop"]


def noise(height: int, width: int) -> np.ndarray:
    """A frame with detail everywhere."""
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


@given(st.sampled_from(MODES), st.integers(8, 300), st.integers(8, 300), st.integers(1, 4), st.integers(1, 4))
def test_the_input_has_the_size_it_says(mode: str, height: int, width: int, rows: int, columns: int) -> None:
    """Whatever the frame's size and aspect ratio."""
    geometry = Geometry(mode=mode, height_px=32 * rows, width_px=32 * columns)
    assert geometry.apply(noise(height, width)).shape == (32 * rows, 32 * columns, 3)


@pytest.mark.parametrize("side", [0, 31, 100, -32])
def test_a_side_is_a_whole_number_of_patches(side: int) -> None:
    """Of some network's."""
    with pytest.raises(ValidationError):
        Geometry(height_px=side)


def test_a_frame_of_the_inputs_size_is_untouched() -> None:
    """Squash and letterbox of 224 x 224 are the identity."""
    frame = noise(224, 224)
    np.testing.assert_array_equal(Geometry().apply(frame), frame)
    np.testing.assert_array_equal(Geometry(mode="letterbox").apply(frame), frame)


def test_shrinking_averages_areas() -> None:
    """By a whole factor it is the mean of each block: a one-pixel defect leaves its share instead of vanishing."""
    frame = noise(448, 672)
    blocks = frame.reshape(224, 2, 224, 3, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(Geometry().apply(frame), blocks, atol=0.5001)


def test_an_axis_that_grows_does_not_stop_the_other_from_averaging() -> None:
    """OpenCV's area mode turns bilinear when one axis grows; here 8 x 8 to 16 x 2 keeps each block's mean."""
    frame = np.repeat(noise(1, 8), 8, axis=0)
    blocks = frame[0].reshape(2, 4, 3).astype(float).mean(axis=1)
    np.testing.assert_allclose(resize(frame, width_px=2, height_px=16), np.tile(blocks, (16, 1, 1)), atol=1)


def test_letterbox_keeps_the_aspect_ratio_and_pads_with_gray() -> None:
    """A 2:1 frame fills the middle half, bars of 127 above and below."""
    boxed = Geometry(mode="letterbox", height_px=64, width_px=64).apply(np.full((50, 100, 3), 200, np.uint8))
    expected = np.full((64, 64, 3), 127, np.uint8)
    expected[16:48] = 200
    np.testing.assert_array_equal(boxed, expected)


def test_crop_is_resize_256_and_centre_224() -> None:
    """The paper's preparation: rows and columns 16 to 239 of the frame at 256 x 256."""
    frame = noise(512, 512)
    at_256 = cv2.resize(frame, (256, 256), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(Geometry(mode="crop").apply(frame), at_256[16:240, 16:240])


def test_crop_resizes_the_shorter_side_of_an_oblong_frame() -> None:
    """A 3:1 frame keeps its middle square, as torchvision's Resize(256) and CenterCrop(224) do."""
    frame = noise(256, 768)
    np.testing.assert_array_equal(Geometry(mode="crop").apply(frame), frame[16:240, 272:496])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source_wh", [(512, 512), (560, 228), (100, 300)])
def test_a_box_goes_back_to_where_the_mark_is(mode: str, source_wh: tuple[int, int]) -> None:
    """A white mark at the frame's middle is inside the box that its image covers, and the box is tight."""
    width, height = source_wh
    mark = (width // 2 - 20, height // 2 - 20, width // 2 + 20, height // 2 + 20)
    frame = np.zeros((height, width, 3), np.uint8)
    frame[mark[1] : mark[3], mark[0] : mark[2]] = 255
    geometry = Geometry(mode=mode, height_px=256, width_px=224)
    ys, xs = np.nonzero(geometry.apply(frame)[..., 0] > 200)
    found = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    box = geometry.source_box(found, source_wh)
    np.testing.assert_allclose(box, mark, atol=4)


@pytest.mark.parametrize(("mode", "covered"), [("squash", (0, 0, 640, 480)), ("letterbox", (0, 0, 640, 480))])
def test_the_whole_input_is_the_whole_frame(mode: str, covered: tuple[int, int, int, int]) -> None:
    """Rounded outwards and clipped, padding included."""
    assert Geometry(mode=mode).source_box((0, 0, 224, 224), (640, 480)) == covered


def test_the_whole_crop_is_the_middle_of_the_frame() -> None:
    """At 512 x 512 the crop leaves out 32 px a side."""
    assert Geometry(mode="crop").source_box((0, 0, 224, 224), (512, 512)) == (32, 32, 480, 480)
