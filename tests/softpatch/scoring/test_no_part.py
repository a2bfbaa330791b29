"""Frames without a part: told by patches of frames that show none, within the limit of the bank alone."""

from __future__ import annotations

import numpy as np
import pytest

from softpatch.scoring.no_part import NoPartCheck, distance_to
from softpatch.scoring.search import FlatSearch


def belt(seed: int) -> np.ndarray:
    """One frame of a belt: small noise about one vector."""
    rng = np.random.default_rng(seed)
    return (1 + 0.1 * rng.normal(size=(4, 5, 8))).astype(np.float32)


def test_a_frame_like_those_without_a_part_shows_none() -> None:
    """Another frame of the belt is within the limit; the same belt with one patch of something else is not."""
    search = FlatSearch(belt(0).reshape(-1, 8))
    check = NoPartCheck(search, limit=1.0, blur_cells=0.0)
    assert check.shows_no_part(belt(1))
    with_part = belt(1)
    with_part[2, 3] += 2
    assert not check.shows_no_part(with_part)


def test_the_distance_is_the_largest_of_its_patches() -> None:
    """By definition, where nothing is blurred."""
    frame = np.zeros((4, 5, 8), np.float32)
    frame[1, 1, 0] = 3
    assert distance_to(FlatSearch(np.zeros((3, 8), np.float32)), frame, blur_cells=0.0) == pytest.approx(3.0)


def test_the_blur_of_patch_scores_applies() -> None:
    """One far patch among near ones counts for less, as it does in a score."""
    frame = np.zeros((4, 5, 8), np.float32)
    frame[1, 1, 0] = 3
    blurred = distance_to(FlatSearch(np.zeros((3, 8), np.float32)), frame, blur_cells=0.8)
    assert 0 < blurred < 3
