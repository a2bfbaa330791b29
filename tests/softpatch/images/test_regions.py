"""Polygons of a frame say what is inspected; nothing else reaches the network."""

from typing import Literal

import numpy as np
import pytest
from pydantic import ValidationError

from softpatch.images.geometry import PADDING, FrameGeometry
from softpatch.images.regions import InspectedRegions
from softpatch.images.statistics import measure

LEFT_HALF = ((0, 0), (20, 0), (20, 30), (0, 30))
CORNER = ((0, 0), (10, 0), (10, 10), (0, 10))
"""Of frames of 40 x 30 px."""


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A picture of noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_what_is_inspected_is_the_polygons_to_inspect_less_those_to_ignore() -> None:
    """By hand, away from the edges, whose pixels lie half in."""
    mask = InspectedRegions(inspect=(LEFT_HALF,), ignore=(CORNER,)).mask((40, 30))
    assert mask.shape == (30, 40)
    assert mask[12:, :19].all()
    assert mask[:12, 12:19].all()
    assert not mask[:9, :9].any()
    assert not mask[:, 22:].any()
    assert InspectedRegions(ignore=(CORNER,)).mask((40, 30))[:, 12:].all()


def test_corners_count_in_the_frames_they_are_given_for() -> None:
    """A frame of the same view at twice the resolution has the same parts inspected; a wish of no size is its own."""
    given = InspectedRegions(ignore=(CORNER,), frame_wh=(40, 30))
    once, twice = (FrameGeometry(regions=given).ignored_cells((28, 28), size_wh) for size_wh in ((40, 30), (80, 60)))
    assert once is not None
    np.testing.assert_array_equal(once, twice)
    own = FrameGeometry(regions=InspectedRegions(ignore=(CORNER,))).ignored_cells((28, 28), (80, 60))
    assert own is not None
    assert 0 < own.sum() < once.sum()


@pytest.mark.parametrize("mode", ["squash", "letterbox", "crop"])
def test_nothing_ignored_reaches_the_network(mode: Literal["squash", "letterbox", "crop"]) -> None:
    """Frames that differ in the ignored part alone are one input; the rest is what it was without regions."""
    geometry = FrameGeometry(mode=mode, height_px=64, width_px=96, regions=InspectedRegions(ignore=(LEFT_HALF,)))
    first = noise(40, 30)
    other = first.copy()
    other[:, :20] = noise(20, 30, seed=1)
    shaped = geometry.apply(first)
    inspected = geometry.inspected((40, 30))
    assert inspected is not None
    np.testing.assert_array_equal(shaped[inspected == 0], PADDING)
    seen = (geometry.apply(other) != shaped).any(axis=(0, 2))
    assert seen.sum() <= 2 * 96 / 40  # resizing mixes the columns at the edge, within two pixels of the frame
    whole = FrameGeometry(mode=mode, height_px=64, width_px=96).apply(first)
    np.testing.assert_array_equal(shaped[inspected == 1], whole[inspected == 1])


def test_a_patch_without_an_inspected_pixel_is_ignored() -> None:
    """Of 4 x 4 patches on a frame of 40 x 40 px those in the left half; one that is cut by the edge is not."""
    geometry = FrameGeometry(
        height_px=32, width_px=32, regions=InspectedRegions(ignore=(((0, 0), (24, 0), (24, 40), (0, 40)),))
    )
    cells = geometry.ignored_cells((4, 4), (40, 40))
    assert cells is not None
    assert cells.tolist() == [[True, True, False, False]] * 4
    assert FrameGeometry(height_px=32, width_px=32).ignored_cells((4, 4), (40, 40)) is None


def test_statistics_are_of_what_is_inspected() -> None:
    """A dark half that nobody inspects does not darken the frame."""
    image = np.full((32, 32, 3), 200, np.uint8)
    image[:, :16] = 0
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 18:] = 1
    assert measure(image, mask) == measure(np.full((32, 32, 3), 200, np.uint8))
    assert measure(image).dark_ratio == pytest.approx(0.5)


def test_polygons_beyond_the_frame_are_told() -> None:
    """Each by its name; one that touches the edge is inside."""
    regions = InspectedRegions(inspect=(LEFT_HALF,), ignore=(CORNER, ((30, 20), (50, 20), (50, 25))))
    assert regions.outside((40, 30)) == [
        "regions.ignore[1] reaches beyond the frame of 40 x 30 px, and is cut off there"
    ]
    assert regions.outside((60, 30)) == []


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ([[0, 0], [5, 5]], "at least three corners, each .x, y., and this one has 2"),
        ([[0, 0], [5, 5], [9, 9]], "lie on one line"),
        ([[0, 0], [5, 5], [2e6, 9]], "px away"),
        ([[0, 0], [5, 5], [float("nan"), 9]], "finite"),
    ],
)
def test_what_is_no_polygon_is_refused(corners: list[list[float]], words: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValidationError, match=words):
        InspectedRegions(ignore=(corners,))  # type: ignore[arg-type] # as a settings file has it


def test_outlines_are_drawn_and_only_there() -> None:
    """On a copy, at the size of the picture; without regions the picture is as it was."""
    picture = np.zeros((60, 80, 3), np.uint8)
    geometry = FrameGeometry(regions=InspectedRegions(inspect=(LEFT_HALF,)))
    drawn = geometry.outlined(picture, (40, 30))
    assert drawn[30, 39:42].any()
    assert not drawn[:, 45:].any()
    assert not picture.any()
    assert FrameGeometry().outlined(picture, (40, 30)) is picture
