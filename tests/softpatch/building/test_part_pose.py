"""How a part lies is told by moments: whatever its angle, its place and the size of the picture."""

import numpy as np
import pytest

from softpatch.building.part_pose import part_pose
from tests.softpatch.turned_parts import SIDE_PX, lying, part


def degrees_between(pose_axis: tuple[float, float], degrees: float) -> float:
    """Of the axis and that direction."""
    turn = np.degrees(np.arctan2(pose_axis[1], pose_axis[0])) - degrees
    return float(abs((turn + 180) % 360 - 180))


@pytest.mark.parametrize("degrees", range(0, 360, 33))
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_axis_turns_with_the_part(degrees: int, scale: float) -> None:
    """Head and tail are told apart, and the centre stays at the same place of the part: in a large picture, too."""
    middle = 0.5 * SIDE_PX * scale
    drawn = part(np.random.default_rng(0))
    level = part_pose(lying(drawn, 0, (middle, middle), side_px=round(SIDE_PX * scale), scale=scale))
    turned = part_pose(lying(drawn, degrees, (middle, middle), side_px=round(SIDE_PX * scale), scale=scale))
    assert level is not None
    assert turned is not None
    assert degrees_between(level.axis_xy, 0) < 1
    assert degrees_between(turned.axis_xy, degrees) < 1.5
    offset = level.turned.T @ (np.array(level.centre_xy) - middle)
    np.testing.assert_allclose(turned.centre_xy, middle + turned.turned @ offset, atol=1.5 * scale)


def test_a_shift_moves_the_centre_alone() -> None:
    """To the pixel."""
    drawn = part(np.random.default_rng(0))
    first, second = (part_pose(lying(drawn, 40, place)) for place in ((90, 90), (101, 84)))
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(np.subtract(second.centre_xy, first.centre_xy), (11, -6), atol=0.5)
    np.testing.assert_allclose(second.extent, first.extent, atol=1.5)


def test_dust_is_no_part_of_it() -> None:
    """Single pixels of dirt on the background move nothing."""
    clean = lying(part(np.random.default_rng(0)), 70, (96, 96))
    dusty = clean.copy()
    dusty[5:190:20, 5:190:17] = np.where(clean[5:190:20, 5:190:17] > 190, 0, clean[5:190:20, 5:190:17])
    one, other = part_pose(clean), part_pose(dusty)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.centre_xy, other.centre_xy, atol=0.5)
    np.testing.assert_allclose(one.axis_xy, other.axis_xy, atol=0.01)


def test_an_even_picture_shows_no_part() -> None:
    """Nothing differs from its border."""
    assert part_pose(np.full((64, 64, 3), 90, np.uint8)) is None


def test_a_pose_scales_with_the_picture() -> None:
    """Lengths alone do: the axis is a direction."""
    pose = part_pose(lying(part(np.random.default_rng(0)), 20, (96, 96)))
    assert pose is not None
    half = pose.scaled(0.5)
    assert half.axis_xy == pose.axis_xy
    np.testing.assert_allclose(np.array([*half.centre_xy, *half.extent]) * 2, [*pose.centre_xy, *pose.extent])
