"""What scores by banks of fewer frames become by a bank of all."""

import numpy as np

from softpatch.calibrate import as_of_all


def test_what_doubling_the_frames_does_is_extrapolated_to_half_as_many_again() -> None:
    """One block of three to two is one doubling, two to three 0.585: a fall by a factor f becomes f to the 0.585."""
    by_one_block = np.linspace(10, 20, 300, dtype=np.float32)
    by_two_blocks = by_one_block * np.float32(0.9)
    expected = by_two_blocks * 0.9 ** np.log2(1.5)
    np.testing.assert_allclose(as_of_all(by_two_blocks, by_one_block, blocks=3), expected, rtol=1e-5)


def test_rare_poses_gain_most_where_they_did_before() -> None:
    """Only the upper half fell from one block to two: only the upper half moves."""
    by_two_blocks = np.linspace(10, 20, 301, dtype=np.float32)
    by_one_block = np.where(by_two_blocks > 15, by_two_blocks * np.float32(1.1), by_two_blocks)
    corrected = as_of_all(by_two_blocks, by_one_block, blocks=3)
    np.testing.assert_allclose(corrected[:150], by_two_blocks[:150], rtol=1e-6)
    assert (corrected[200:] < by_two_blocks[200:] * 0.96).all()


def test_more_frames_never_raise_a_score_and_never_change_the_order() -> None:
    """Whatever the banks of one block say, of scores in any order."""
    rng = np.random.default_rng(0)
    scores, fewer = rng.gamma(5, 1, 200).astype(np.float32), rng.gamma(5, 1.1, 200).astype(np.float32)
    corrected = as_of_all(scores, fewer, blocks=3)
    assert (corrected <= scores * 1.0001).all()
    assert (np.diff(corrected[np.argsort(scores)]) >= 0).all()


def test_frames_that_equal_the_bank_keep_their_zero() -> None:
    """A zero has no logarithm."""
    scores = np.array([0, 0, 0, 1, 2, 3], np.float32)
    assert (as_of_all(scores, scores + 1, blocks=3)[:3] == 0).all()


def test_two_blocks_leave_nothing_to_compare() -> None:
    """All blocks but one are one block."""
    scores = np.array([1, 2, 3, 4], np.float32)
    np.testing.assert_array_equal(as_of_all(scores, scores * 2, blocks=2), scores)
