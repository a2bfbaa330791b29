"""Positions where good frames often have their highest score count less, where that says something."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.cross_fit import bank_without, cross_fit
from softpatch.building.fit import Fit, fit
from softpatch.building.position_weights import weigh_positions
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from tests.softpatch.gate.banks import buffer_of

FRAMES, SIDE, DIMENSION = 120, 10, 8
RESTLESS = (2, 7)
SETTINGS = BuildSettings(coreset_ratio=0.3, blur_cells=0)
"""Without blur, and with many patches of each position: of a few, some positions have more than others."""


def line(frames: int = FRAMES, *, restless: float, turned: bool = False, seed: int = 0) -> np.ndarray:
    """Every position has a look of its own, and at one the frames differ by so many times as much as elsewhere."""
    rng = np.random.default_rng(seed)
    looks = np.random.default_rng(9).normal(size=(SIDE * SIDE, DIMENSION)) * 4
    places = np.arange(SIDE * SIDE)
    shown = np.stack([looks[rng.permutation(places) if turned else places] for _ in range(frames)])
    shown = shown.reshape(frames, SIDE, SIDE, DIMENSION)
    spread = np.ones((SIDE, SIDE, 1))
    spread[RESTLESS] = restless
    return (shown + spread * rng.normal(size=shown.shape)).astype(np.float32)


def fitted(embeddings: np.ndarray, settings: BuildSettings = SETTINGS) -> tuple[Fit, np.ndarray]:
    """The fit of those frames and their cross-fitted patch scores, before positions are weighed."""
    blocks = calibration_blocks(len(embeddings), settings.calibration_blocks)
    with ThreadPoolExecutor(1) as pool:
        found = fit(buffer_of(embeddings), settings, pool, blocks=blocks)
    return found, cross_fit(buffer_of(embeddings), found, make_search=FlatSearch)


@cache
def restless_line() -> tuple[Fit, np.ndarray]:
    """Of frames that differ three times as much at one position."""
    return fitted(line(restless=3))


def test_a_position_where_most_frames_have_their_highest_counts_less() -> None:
    """The others count a little more; of new frames fewer of those that are highest there exceed the threshold."""
    found, patch_scores = restless_line()
    weighed, scores = weigh_positions(found, patch_scores)
    weights = weighed.bank.position_weights
    assert weights is not None
    assert np.unravel_index(weights.argmin(), weights.shape) == RESTLESS
    assert weights[RESTLESS] < 0.8
    assert (np.delete(weights.ravel(), np.ravel_multi_index(RESTLESS, weights.shape)) >= weights[RESTLESS]).all()
    assert weights.max() == pytest.approx(1.0, abs=0.1)
    plain = patch_scores.max(axis=(1, 2))
    assert np.quantile(scores.whole, 0.9) < 0.9 * np.quantile(plain, 0.9)


def test_a_defect_elsewhere_is_seen_that_was_hidden_by_it() -> None:
    """New frames with one defective patch: above the 90 % quantile of new good frames once positions are weighed."""
    found, patch_scores = restless_line()
    weighed, _ = weigh_positions(found, patch_scores)
    good, defective = line(60, restless=3, seed=1), line(60, restless=3, seed=2)
    defective[:, 7, 3] += 3
    shares = []
    for bank in (found.bank, weighed.bank):
        scorer = bank.scorer(FlatSearch)
        of_good, of_defective = (np.array([each.score for each in scorer.score(some)]) for some in (good, defective))
        shares.append(float((of_defective > np.quantile(of_good, 0.9)).mean()))
    assert shares[1] > shares[0] + 0.2


def test_all_positions_count_alike_where_nothing_stands_out_or_parts_lie_turned() -> None:
    """And where the settings say so."""
    for embeddings, settings in (
        (line(restless=1), SETTINGS),
        (line(restless=3, turned=True), SETTINGS),
        (line(restless=3), SETTINGS.model_copy(update={"position_power": 0})),
    ):
        found, patch_scores = fitted(embeddings, settings)
        weighed, scores = weigh_positions(found, patch_scores)
        assert weighed.bank.position_weights is None
        np.testing.assert_array_equal(scores.whole, patch_scores.max(axis=(1, 2)))


def test_a_frames_score_is_as_a_frame_to_come_would_have() -> None:
    """Its own block says nothing of what its positions weigh: those highest where no others are keep that."""
    found, patch_scores = restless_line()
    patch_scores = patch_scores.copy()
    own = slice(found.blocks[1].start, found.blocks[1].stop)
    patch_scores[own, 6, 6] = 1.01 * patch_scores[own].max(axis=(1, 2))
    weighed, scores = weigh_positions(found, patch_scores)
    weights = weighed.bank.position_weights
    assert weights is not None
    assert weights[6, 6] < 0.95
    assert (scores.whole[own] >= patch_scores[own, 6, 6]).all()


def test_a_frame_that_is_not_learnt_counts_by_its_patches_elsewhere() -> None:
    """By the weights that its whole score has; one without such patches does not count, and one that is learnt does."""
    found, patch_scores = restless_line()
    elsewhere = np.zeros(patch_scores.shape, np.bool_)
    elsewhere[3, 6:] = True
    not_learnt = np.zeros(FRAMES, np.bool_)
    not_learnt[[3, 5]] = True
    labels = replace(found.labels, not_learnt=not_learnt, elsewhere=elsewhere)
    weighed, scores = weigh_positions(replace(found, labels=labels), patch_scores)
    assert weighed.bank.position_weights is not None
    assert np.flatnonzero(scores.elsewhere).tolist() == [3]
    own = patch_scores[3, 6:].max()
    assert 0.8 * own < scores.elsewhere[3] != own
    assert scores.elsewhere[3] < scores.whole[3]
    expected = [scores.elsewhere[row] if row == 3 else scores.whole[row] for row in range(FRAMES) if row != 5]
    assert scores.counted(not_learnt).tolist() == expected


def test_banks_that_leave_a_block_out_have_the_weights() -> None:
    """Planted defects are scored as the bank scores."""
    weighed, _ = weigh_positions(*restless_line())
    assert bank_without(0, weighed).position_weights is weighed.bank.position_weights
