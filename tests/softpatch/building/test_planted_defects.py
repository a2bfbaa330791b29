"""Planted defects are where they say, of the size they say, and the same for the same seed."""

import numpy as np
import pytest

from softpatch.building.planted_defects import DEFECTS_A_FRAME, KINDS, DefectKind, plant
from tests.softpatch.random_embeddings import picture

SIZES_PX = (3.0, 8.0, 14.0, 21.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_defect_changes_its_box_and_nothing_else(kind: DefectKind) -> None:
    """One in each quarter; larger ones than a pixel's rounding are really there."""
    image = picture(1)
    planted, defects = plant(image, [kind] * DEFECTS_A_FRAME, SIZES_PX, rng=np.random.default_rng(5))
    outside = np.ones(image.shape[:2], bool)
    for defect, size_px in zip(defects, SIZES_PX, strict=True):
        x0, y0, x1, y1 = defect.box_xyxy
        assert (defect.kind, defect.size_px, x1 - x0, y1 - y0) == (kind, size_px, size_px, size_px)
        assert (planted[y0:y1, x0:x1] != image[y0:y1, x0:x1]).any()
        outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(planted[outside], image[outside])


def test_each_quarter_of_the_frame_has_one() -> None:
    """So that none hides another."""
    _, defects = plant(picture(2), KINDS[:DEFECTS_A_FRAME], SIZES_PX, rng=np.random.default_rng(1))
    quarters = {(each.box_xyxy[0] >= 32, each.box_xyxy[1] >= 32) for each in defects}
    assert len(quarters) == DEFECTS_A_FRAME


def test_the_same_seed_plants_the_same() -> None:
    """And another one plants others."""
    first, again, other = (
        plant(picture(3), KINDS[:DEFECTS_A_FRAME], SIZES_PX, rng=np.random.default_rng(seed))[0] for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 9, 3), (40, 3, 3)])
def test_small_frames_have_room_for_what_fits(shape: tuple[int, int, int]) -> None:
    """A defect is never larger than a quarter of the frame; a frame of one pixel stays as it is."""
    image = np.full(shape, 90, np.uint8)
    planted, defects = plant(image, KINDS[:DEFECTS_A_FRAME], SIZES_PX, rng=np.random.default_rng(1))
    assert planted.shape == shape
    assert all(each.box_xyxy[2] <= shape[1] and each.box_xyxy[3] <= shape[0] for each in defects)


@pytest.mark.parametrize("seed", range(5))
def test_defects_lie_wholly_where_the_frame_is_inspected(seed: int) -> None:
    """A quarter without room for its defect has none."""
    inspected = np.zeros((64, 64), np.uint8)
    inspected[4:30, 4:60] = 1
    inspected[40:50, 2:10] = 1
    image = picture(seed)
    planted, defects = plant(
        image, KINDS[:DEFECTS_A_FRAME], (12.0, 12.0, 9.0, 5.0), rng=np.random.default_rng(seed), inspected=inspected
    )
    assert [each.size_px for each in defects] == [12, 12]
    for x0, y0, x1, y1 in (each.box_xyxy for each in defects):
        assert inspected[y0:y1, x0:x1].all()
    np.testing.assert_array_equal(planted[inspected == 0], image[inspected == 0])
