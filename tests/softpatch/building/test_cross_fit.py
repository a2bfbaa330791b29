"""What a calibration score is from: the final bank without the block of time that the frame is of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.coreset import SAMPLERS
from softpatch.building.cross_fit import bank_without, cross_fit
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.fit import Fit, fit
from softpatch.building.fitted_bank import FittedBank
from softpatch.building.patches import Patches
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings, SamplerName

BLOCKS = calibration_blocks(60, 50)
"""Three blocks of 20 frames."""


def buffered(frames: np.ndarray) -> MemoryBuffer:
    """Those embeddings as a window's."""
    embeddings = MemoryBuffer(len(frames), frames.shape[1:])
    embeddings.append(frames)
    return embeddings


def fit_and_leave_out(frames: np.ndarray, chosen: BuildSettings) -> tuple[Fit, list[FittedBank]]:
    """The fit of 60 frames, and the bank without each of the blocks."""
    with ThreadPoolExecutor(1) as pool:
        fitted = fit(buffered(frames), chosen, pool, blocks=BLOCKS)
    return fitted, [bank_without(number, fitted) for number in range(len(BLOCKS))]


def calibration_scores(frames: np.ndarray, chosen: BuildSettings) -> tuple[Fit, np.ndarray]:
    """The fit of those frames and their cross-fitted scores."""
    with ThreadPoolExecutor(2) as pool:
        fitted = fit(buffered(frames), chosen, pool, blocks=calibration_blocks(len(frames), chosen.calibration_blocks))
    return fitted, cross_fit(buffered(frames), fitted, make_search=FlatSearch).max(axis=(1, 2))


def line(frames: int, *, seed: int) -> np.ndarray:
    """Frames of 6 x 6 patches near one of 40 centres, of which some are rare."""
    centres = np.random.default_rng(0).normal(size=(40, 16))
    rng = np.random.default_rng((1, seed))
    which = (rng.beta(0.6, 2.5, size=(frames, 6, 6)) * 40).astype(int)
    return (centres[which] + 0.3 * rng.normal(size=(frames, 6, 6, 16))).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("coreset_frames", [1024, 80])
def test_frames_of_the_window_score_as_frames_to_come_do(coreset_frames: int) -> None:
    """A threshold is worth what this is: the quantiles of calibration scores are those of 400 frames nobody saw.

    Groups are learnt: this line's rare centres are some, and frames of groups that are not count for no threshold.
    """
    chosen = BuildSettings(coreset_frames=coreset_frames, groups="learn")
    fitted, calibration = calibration_scores(line(240, seed=0), chosen)
    scorer = fitted.bank.scorer(FlatSearch)
    ahead = np.array([frame.score for frame in scorer.score(line(400, seed=1))])
    probabilities = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(np.quantile(calibration, probabilities), np.quantile(ahead, probabilities), rtol=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("coreset_frames", [1024, 20])
def test_a_block_is_scored_by_the_bank_as_it_would_be_without_it(sampler: SamplerName, coreset_frames: int) -> None:
    """No patch of the block is in it, all the bank's others are, and (nearly, of groups) as many new ones as went."""
    frames = np.random.default_rng(0).normal(size=(60, 3, 3, 4)).astype(np.float32)
    chosen = BuildSettings(sampler=sampler, coreset_frames=coreset_frames, coreset_ratio=0.3)
    fitted, banks = fit_and_leave_out(frames, chosen)
    assert len(banks) == 3
    for block, without in zip(BLOCKS, banks, strict=True):
        final, left = where(fitted.bank.patches), where(without.patches)
        outside = {place for place in final if place[0] not in block}
        assert len(left) == len(set(left))
        assert len(final) - 2 * (coreset_frames == 20) <= len(left) <= len(final)
        assert outside <= set(left)
        assert not (set(left) - outside) & set(final)
        assert all(place[0] not in block for place in left)


def where(patches: Patches) -> list[tuple[int, int, int]]:
    """Frame, row and column of each."""
    return [(f, *at) for f, at in zip(patches.frame.tolist(), patches.position.tolist(), strict=True)]


@pytest.mark.parametrize("coreset_frames", [1024, 20])
def test_copies_are_calibrated_by_copies(coreset_frames: int) -> None:
    """Identical frames, in one group or three: whatever block is left out, another frame shows the same."""
    frame = np.random.default_rng(0).normal(size=(1, 3, 3, 4)).astype(np.float32)
    _, scores = calibration_scores(np.repeat(frame, 60, axis=0), BuildSettings(coreset_frames=coreset_frames))
    assert scores.tolist() == [0] * 60


def test_untrusted_patches_of_a_block_leave_with_it() -> None:
    """A burst of rejected frames: they are all of one block, whose bank has none of them.

    Learnt whatever they have in common: by chance it makes them a group, which is kept out of every bank.
    """
    frames = np.random.default_rng(0).normal(size=(60, 3, 3, 4)).astype(np.float32)
    frames[:4] *= 20
    fitted, banks = fit_and_leave_out(frames, BuildSettings(coreset_ratio=0.3, groups="learn"))
    assert not fitted.mask.keep[:4].any()
    assert (fitted.bank.patches.frame < 4).any()
    assert banks[0].trusted_patches == fitted.bank.trusted_patches
    assert banks[0].patches.frame.min() >= 20


def test_untrusted_patches_that_leave_are_replaced_by_similar_ones() -> None:
    """Two bursts of rejected frames, alike patch by patch: where one is left out, the other replaces it."""
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(60, 3, 3, 4)).astype(np.float32)
    frames[:4] *= 20
    frames[40:44] = frames[:4] + rng.normal(size=(4, 3, 3, 4)).astype(np.float32)
    fitted, banks = fit_and_leave_out(frames, BuildSettings(coreset_ratio=0.3))
    untrusted = [len(bank.patches) - bank.trusted_patches for bank in (fitted.bank, *banks)]
    assert untrusted[0] > 0
    assert untrusted == [untrusted[0]] * 4
