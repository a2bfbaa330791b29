"""Which of a window's patches vouch for a defect that escaped, where parts lie alike and where they lie turned."""

from __future__ import annotations

import numpy as np
import pytest

from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.labels import Exemplars, LabelledFrames
from softpatch.building.negatives import Vouching, vouching_patches
from softpatch.building.projection import ProjectedGroups

FRAMES, GRID, DIMENSION = 40, (5, 6), 12
EVERYWHERE = np.ones(GRID, np.bool_)
RNG = np.random.default_rng(0)
WINDOW = RNG.normal(0, 1, (FRAMES, *GRID, DIMENSION)).astype(np.float32)
DEFECT = RNG.normal(0, 1, (*GRID, DIMENSION)).astype(np.float32)
DEFECT[2, 3] += 4


def vouching(window: np.ndarray, *, aligned: bool) -> Vouching:
    """What vouches for the defect's worst patch, at row 2 and column 3."""
    buffer = MemoryBuffer(FRAMES + 1, (*GRID, DIMENSION))
    buffer.append(window)
    buffer.append(DEFECT[None])
    factors = np.ones((FRAMES + 1, *GRID), np.float32)
    factors[FRAMES, 2, 3] = 9
    projected = ProjectedGroups(buffer, [range(FRAMES + 1)], np.eye(DIMENSION, dtype=np.float32))
    word = Exemplars(LabelledFrames("w", "defect", "feedback", None, (b"",)), (FRAMES,), EVERYWHERE)
    return vouching_patches(projected, factors, word, window_frames=FRAMES, aligned=aligned)


def copied_at(row: int, column: int, *, noise: float) -> np.ndarray:
    """The window, whose seventh frame shows the defect there."""
    window = WINDOW.copy()
    window[7, row, column] = DEFECT[2, 3] + noise * np.random.default_rng(1).normal(size=DIMENSION)
    return window


@pytest.mark.parametrize(("row", "column", "aligned"), [(2, 3, True), (1, 4, True), (2, 3, False), (4, 0, False)])
def test_a_copy_of_the_defect_leaves_the_window(row: int, column: int, *, aligned: bool) -> None:
    """At its place where parts lie alike, anywhere where they do not; the frame shows all of the defect."""
    found = vouching(copied_at(row, column, noise=0.05), aligned=aligned)
    assert np.argwhere(found.patches).tolist() == [[7, row, column]]
    assert np.flatnonzero(found.frames).tolist() == [7]


def test_what_is_only_near_vouches_where_parts_lie_alike_alone() -> None:
    """Where they lie turned, what is near to a defect is what lies as it does."""
    near = copied_at(2, 3, noise=1.6)
    assert vouching(near, aligned=True).patches[7, 2, 3]
    assert not vouching(near, aligned=False).patches.any()


def test_a_copy_elsewhere_says_nothing_where_parts_lie_alike() -> None:
    """Another place shows another thing."""
    assert not vouching(copied_at(4, 0, noise=0.05), aligned=True).patches.any()


@pytest.mark.parametrize("aligned", [True, False])
def test_good_frames_vouch_for_nothing(*, aligned: bool) -> None:
    """None is near."""
    found = vouching(WINDOW, aligned=aligned)
    assert not found.patches.any()
    assert not found.frames.any()
