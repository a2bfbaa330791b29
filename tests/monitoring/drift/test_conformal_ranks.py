"""Scores among their own past."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.conformal_ranks import NEW_DEFECTS, REMEMBERED, TAILS, RankHistory, rank_bets
from tests.monitoring.drift.alarmed_streams import ALONE, alarmed_streams


def p_values(scores: np.ndarray) -> np.ndarray:
    """The p-value of each score among those before it."""
    past, found = RankHistory(), []
    for score in scores:
        found.append(past.p_value(score))
        past = past.with_score(score)
    return np.array(found)


def test_a_p_value_counts_who_scores_at_least_as_high() -> None:
    """Written out, ties against the frame that comes later."""
    scores = np.round(np.random.default_rng(0).normal(size=60), 1)
    expected = [(1 + (scores[:n] >= scores[n]).sum()) / (n + 1) for n in range(60)]
    assert p_values(scores) == pytest.approx(expected)


def test_p_values_are_even_and_independent_of_those_before() -> None:
    """What the bets' exactness rests on, for a heavy-tailed distribution; the first, coarse ranks are left out."""
    found = p_values(np.random.default_rng(1).pareto(1.0, 3000))[500:]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    before, after = zip(*pairwise(found), strict=True)
    assert stats.spearmanr(before, after).pvalue > 0.01


@pytest.mark.slow
def test_false_alarms_keep_the_bound() -> None:
    """300 streams of 600 exchangeable frames at A = 6,000: at most 10 % alarm, three standard deviations granted."""
    rng = np.random.default_rng(2)
    bets = rank_bets()
    scores = np.array([rng.normal(size=600) for _ in range(300)]).T
    found = np.array([(1 + (scores[:n] >= scores[n]).sum(axis=0)) / (n + 1) for n in range(600)])
    for stream in range(ALONE):
        np.testing.assert_array_equal(p_values(scores[:, stream]), found[:, stream])
    alarmed = alarmed_streams(found[..., None] < bets.limit, bets, 6000)
    assert alarmed <= 300 * (0.1 + 3 * np.sqrt(0.1 * 0.9 / 300))


def test_the_younger_half_takes_the_place_of_a_full_past() -> None:
    """Memory is bounded, and the second half of the past is all there when it is needed."""
    scores = np.random.default_rng(3).normal(size=REMEMBERED + 1).astype(np.float32)
    past = RankHistory()
    for score in scores[:-1]:
        past = past.with_score(float(score))
    assert past.full
    assert past.scores.tolist() == sorted(scores[:-1])
    past = past.with_score(float(scores[-1]))
    assert past.scores.tolist() == sorted(scores[REMEMBERED // 2 :])
    assert len(past.younger) == 0
    assert not past.full


def test_bets_are_exact() -> None:
    """The allowed share is the tail itself, and weights add up to 1."""
    bets = rank_bets()
    assert set(bets.allowed) == set(bets.limit) == set(TAILS)
    assert bets.weight.sum() == pytest.approx(1)
    beyond = dict(zip(bets.allowed.tolist(), bets.outside(np.array([*[0.0] * 8, 0.07])).tolist(), strict=True))
    assert beyond == {0.01: False, 0.03: False, 0.08: True, 0.2: True, 0.4: True}


def test_a_bet_says_that_so_many_frames_became_defects_of_the_highest_scores() -> None:
    """New defects add to the tail's share; the other frames are in it as often as ever."""
    bets = rank_bets()
    defects = {(t, round((q - t) / (1 - t), 6)) for t, q in zip(bets.allowed, bets.suspected, strict=True)}
    assert defects == {(t, share) for t in TAILS for share in NEW_DEFECTS}
