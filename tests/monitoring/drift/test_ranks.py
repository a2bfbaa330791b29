"""Scores among their own past."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.evidence import Evidence
from monitoring.drift.ranks import REMEMBERED, TAILS, Past, rank_bets


def p_values(scores: np.ndarray) -> np.ndarray:
    """The p-value of each score among those before it."""
    past, found = Past(), []
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


def test_false_alarms_keep_the_bound() -> None:
    """300 streams of 600 exchangeable frames at A = 6,000: at most 10 % alarm, three standard deviations granted."""
    rng = np.random.default_rng(2)
    bets = rank_bets()
    alarmed = 0
    for _ in range(300):
        evidence = Evidence.none(bets)
        for value in p_values(rng.normal(size=600)):
            evidence = evidence.after(value < bets.limit, bets)
            if evidence.alarms(bets, frames_per_false_alarm=6000):
                alarmed += 1
                break
    assert alarmed <= 300 * (0.1 + 3 * np.sqrt(0.1 * 0.9 / 300))


def test_a_full_past_is_gathered_anew() -> None:
    """Memory is bounded, and no rank is among a part of what came before it."""
    full = Past(np.arange(REMEMBERED, dtype=float))
    assert len(full.with_score(1.0).scores) == 0
    assert len(Past(np.arange(REMEMBERED - 1.0)).with_score(1.5).scores) == REMEMBERED


def test_bets_are_exact() -> None:
    """The allowed share is the tail itself, and weights add up to 1."""
    bets = rank_bets()
    assert set(bets.allowed) == set(bets.limit) == set(TAILS)
    assert bets.weight.sum() == pytest.approx(1)
    assert bets.outside(np.array([*[0.0] * 8, 0.07])).tolist() == [False, False, True, True, True, True]
