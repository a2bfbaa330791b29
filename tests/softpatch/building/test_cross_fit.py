"""Whom a calibration score comes from: the final bank, but for the time of the frame it is of."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.building.candidate import scorer_of, trusted_of
from softpatch.building.coreset import SAMPLERS
from softpatch.building.cross_fit import cross_fit, unseen
from softpatch.building.denoise import denoise
from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.subsample import Patches, subsample
from softpatch.scoring.search import BruteSearch
from softpatch.settings import BuildSettings, SamplerName


def nothing(_done: int, _total: int) -> None:
    """Progress nobody watches."""


def line(frames: int, *, seed: int) -> np.ndarray:
    """Frames of 6 x 6 patches near one of 40 looks, of which some are rare."""
    looks = np.random.default_rng(0).normal(size=(40, 16))
    rng = np.random.default_rng((1, seed))
    which = (rng.beta(0.6, 2.5, size=(frames, 6, 6)) * 40).astype(int)
    return (looks[which] + 0.3 * rng.normal(size=(frames, 6, 6, 16))).astype(np.float32)


@pytest.mark.parametrize("coreset_frames", [1024, 80])
def test_frames_of_the_window_score_as_frames_to_come_do(coreset_frames: int) -> None:
    """A threshold is worth what this is: the quantiles of calibration scores are those of 400 frames nobody saw."""
    embeddings = MemoryBuffer(240, (6, 6, 16))
    embeddings.append(line(240, seed=0))
    chosen = BuildSettings(coreset_frames=coreset_frames)
    judged = denoise(embeddings, 240, chosen, nothing)
    with ThreadPoolExecutor(2) as pool:
        condensed = subsample(embeddings, judged, chosen, pool, nothing)
    calibration = cross_fit(embeddings, judged, condensed, chosen, make_search=BruteSearch, progress=nothing)
    scorer = scorer_of(condensed.bank, judged, chosen, BruteSearch)
    ahead = np.array([frame.score for frame in scorer.score(line(400, seed=1))])
    probabilities = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(np.quantile(calibration, probabilities), np.quantile(ahead, probabilities), rtol=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("coreset_frames", [1024, 20])
def test_a_block_is_scored_by_the_bank_as_it_would_be_without_it(sampler: SamplerName, coreset_frames: int) -> None:
    """No patch of the block is in it, all the bank's others are, and (nearly, of groups) as many new ones as went."""
    embeddings = MemoryBuffer(60, (3, 3, 4))
    embeddings.append(np.random.default_rng(0).normal(size=(60, 3, 3, 4)).astype(np.float32))
    chosen = BuildSettings(sampler=sampler, coreset_frames=coreset_frames, coreset_ratio=0.3)
    judged = denoise(embeddings, 60, chosen, nothing)
    with ThreadPoolExecutor(1) as pool:
        condensed = subsample(embeddings, judged, chosen, pool, nothing)
    assert len(condensed.refills) == 3
    for number, refill in enumerate(condensed.refills):
        block = condensed.blocks[number]
        bank, made = where(condensed.bank), where(unseen(condensed, number))
        outside = {place for place in bank if place[0] not in block}
        assert len(made) == len(set(made))
        assert len(bank) - 2 * (coreset_frames == 20) <= len(made) <= len(bank)
        assert outside <= set(made)
        assert not set(where(refill)) & set(bank)
        assert all(place[0] not in block for place in made)


def where(patches: Patches) -> list[tuple[int, int, int]]:
    """Frame, row and column of each."""
    return [(f, *at) for f, at in zip(patches.frame.tolist(), patches.position.tolist(), strict=True)]


@pytest.mark.parametrize("coreset_frames", [1024, 20])
def test_copies_are_calibrated_by_copies(coreset_frames: int) -> None:
    """Identical frames, in one group or three: whatever block is left out, another frame shows the same."""
    embeddings = MemoryBuffer(60, (3, 3, 4))
    embeddings.append(np.repeat(np.random.default_rng(0).normal(size=(1, 3, 3, 4)).astype(np.float32), 60, axis=0))
    chosen = BuildSettings(coreset_frames=coreset_frames)
    judged = denoise(embeddings, 60, chosen, nothing)
    with ThreadPoolExecutor(1) as pool:
        condensed = subsample(embeddings, judged, chosen, pool, nothing)
    scores = cross_fit(embeddings, judged, condensed, chosen, make_search=BruteSearch, progress=nothing)
    assert scores.tolist() == [0] * 60


def test_doubtful_patches_of_a_block_leave_with_it() -> None:
    """A burst of frames that the judge rejects: they are all of one block, whose bank has none of them."""
    embeddings = MemoryBuffer(60, (3, 3, 4))
    frames = np.random.default_rng(0).normal(size=(60, 3, 3, 4)).astype(np.float32)
    frames[:4] *= 20
    embeddings.append(frames)
    chosen = BuildSettings(coreset_ratio=0.3)
    judged = denoise(embeddings, 60, chosen, nothing)
    assert not judged.keep[:4].any()
    with ThreadPoolExecutor(1) as pool:
        condensed = subsample(embeddings, judged, chosen, pool, nothing)
    assert (condensed.bank.frame < 4).any()
    trusted = [int(trusted_of(bank, judged).sum()) for bank in (condensed.bank, unseen(condensed, 0))]
    assert trusted[0] == trusted[1]
    assert unseen(condensed, 0).frame.min() >= 20


def test_doubtful_patches_that_leave_are_replaced_by_others_like_them() -> None:
    """Two bursts of rejected frames, alike patch by patch: where one leaves, the other steps in for it."""
    embeddings = MemoryBuffer(60, (3, 3, 4))
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(60, 3, 3, 4)).astype(np.float32)
    frames[:4] *= 20
    frames[40:44] = frames[:4] + rng.normal(size=(4, 3, 3, 4)).astype(np.float32)
    embeddings.append(frames)
    chosen = BuildSettings(coreset_ratio=0.3)
    judged = denoise(embeddings, 60, chosen, nothing)
    with ThreadPoolExecutor(1) as pool:
        condensed = subsample(embeddings, judged, chosen, pool, nothing)
    banks = [condensed.bank, *(unseen(condensed, number) for number in range(3))]
    doubtful = [int((~trusted_of(bank, judged)).sum()) for bank in banks]
    assert doubtful[0] > 0
    assert doubtful == [doubtful[0]] * 4
