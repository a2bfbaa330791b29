"""What the drift of a line does to its calibration scores."""

import numpy as np
import pytest

from softpatch.calibrate import drift


def test_a_line_that_moves_away_raises_scores_by_what_the_length_of_its_window_does() -> None:
    """Every frame a tenth higher by the far block's bank than by the near one's."""
    beside = np.linspace(10, 20, 100, dtype=np.float32)
    assert drift(beside, beside * np.float32(1.1)) == pytest.approx(1.1)


def test_a_line_that_stands_still_is_left_alone() -> None:
    """Frames in any order: the far block is no farther, and may even be nearer."""
    beside = np.linspace(10, 20, 100, dtype=np.float32)
    assert drift(beside, beside) == 1
    assert drift(beside, beside * np.float32(0.9)) == 1


def test_defects_do_not_pass_for_drift() -> None:
    """A fifth of the frames scores double by the far block's bank."""
    beside = np.linspace(10, 20, 100, dtype=np.float32)
    across = beside.copy()
    across[::5] *= 2
    assert drift(beside, across) == 1


def test_frames_that_equal_the_bank_say_nothing_of_drift() -> None:
    """A zero has no logarithm; a window of copies does not drift."""
    assert drift(np.zeros(6, np.float32), np.zeros(6, np.float32)) == 1
    assert drift(np.array([0, 4], np.float32), np.array([3, 8], np.float32)) == pytest.approx(2)
