"""Limits and what they allow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.bets import DOUBT, WATCHED, bets_of, largest_share_beyond
from monitoring.drift.reference import reference_of
from tests.monitoring.drift.synthetic_streams import MEANS, THRESHOLD, window


@pytest.mark.parametrize(("rank", "count"), [(1, 30), (3, 300), (15, 300), (60, 300)])
def test_the_allowed_share_is_wilks(rank: int, count: int) -> None:
    """The share beyond the k-th largest of n is Beta(k, n - k + 1) distributed, whatever the line's distribution."""
    assert largest_share_beyond(rank, count, doubt=0.01) == pytest.approx(stats.beta.ppf(0.99, rank, count - rank + 1))
    rng = np.random.default_rng(rank)
    edges = np.sort(rng.exponential(size=(4000, count)), axis=1)[:, -rank]
    exceeded = np.exp(-edges) > largest_share_beyond(rank, count, doubt=0.05)
    assert stats.binomtest(int(exceeded.sum()), 4000, 0.05).pvalue > 0.001


@pytest.mark.parametrize(("rank", "count"), [(1, 1), (1, 30), (5, 25), (2, 4000), (800, 4000), (4000, 4000)])
def test_the_allowed_share_is_right_to_the_last_digits(rank: int, count: int) -> None:
    """Also for windows of one frame, and of thousands."""
    wanted = float(stats.beta.isf(DOUBT, rank, count - rank + 1))
    assert largest_share_beyond(rank, count) == pytest.approx(wanted, rel=1e-9)


def test_weights_add_up_to_one_and_alternatives_exceed_what_is_allowed() -> None:
    """What the bound on false alarms needs of the bets."""
    bets = bets_of(window(np.random.default_rng(0)))
    assert bets.weight.sum() == pytest.approx(1)
    assert ((bets.allowed < bets.suspected) & (bets.suspected < 1)).all()


def test_a_frame_like_the_window_is_beyond_no_limit() -> None:
    """The mean frame is outside nowhere; a black one is outside below and above."""
    bets = bets_of(window(np.random.default_rng(1)))
    usual = np.array([*MEANS, 6.0, 0.0, 0.5])
    assert not bets.outside(usual).any()
    black = usual.copy()
    black[[1, 2, 3, 4]] = [0, 0, 0, 1]
    assert {WATCHED[column] for column in bets.column[bets.outside(black)]} == {
        "brightness",
        "contrast",
        "sharpness",
        "dark_ratio",
    }


def test_a_change_too_small_to_matter_is_no_drift() -> None:
    """A window of one and the same picture has no spread: a gray level more must not be beyond its limits."""
    same = np.tile(MEANS, (50, 1))
    sketches = np.zeros((50, 32))
    bets = bets_of(reference_of(same[:, 0], same[:, 1:], sketches, threshold=THRESHOLD))
    almost = np.concatenate([MEANS + np.array([0.1, 1.0, 0.5, 0.1, 0.005, 0.005]), [0.0, 0.0, 0.5]])
    assert not bets.outside(almost).any()
