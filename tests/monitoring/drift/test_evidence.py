"""The procedure and its bound."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring.drift.bets import Bets
from monitoring.drift.evidence import DriftEvidence
from tests.monitoring.drift.alarmed_streams import alarmed_streams


def bets(allowed: list[float], suspected: list[float]) -> Bets:
    """Bets on one column each, with equal weights."""
    count = len(allowed)
    ones = np.ones(count)
    return Bets(np.arange(count), ones, ones, np.array(allowed), np.array(suspected), ones / count)


def test_strength_is_the_sum_over_all_changepoints() -> None:
    """R after n frames is the sum over k of the likelihood ratio of frames k to n (Shiryaev-Roberts), written out."""
    rng = np.random.default_rng(0)
    one = bets([0.1], [0.4])
    outside = rng.random(25) < 0.3
    evidence = DriftEvidence.none(one)
    for each in outside:
        evidence = evidence.after(np.array([each]), one)
    ratios = [0.4 / 0.1 if each else 0.6 / 0.9 for each in outside]
    assert evidence.strength[0] == pytest.approx(sum(np.prod(ratios[k:]) for k in range(25)))


@pytest.mark.slow
def test_false_alarms_keep_the_bound_where_the_null_is_at_its_edge() -> None:
    """As many frames outside as allowed, all bets tied to one another: within N frames at most N / A alarm.

    400 streams of 500 frames with A = 5,000: the bound is 10 %; three standard deviations are granted.
    """
    rng = np.random.default_rng(1)
    several = bets([0.05, 0.05, 0.2, 0.2], [0.3, 0.9, 0.4, 0.9])
    outside = np.array([rng.random(500) for _ in range(400)]).T[..., None] < several.allowed
    alarmed = alarmed_streams(outside, several, 5000)
    assert 0 < alarmed <= 400 * (0.1 + 3 * np.sqrt(0.1 * 0.9 / 400))


def test_the_change_is_dated() -> None:
    """`rising` counts from the change, give or take the frames that looked like it by chance."""
    rng = np.random.default_rng(2)
    one = bets([0.1], [0.9])
    evidence = DriftEvidence.none(one)
    for number in range(400):
        outside = np.array([rng.random() < (0.95 if number >= 380 else 0.05)])
        evidence = evidence.after(outside, one)
    assert 18 <= evidence.rising[0] <= 24


def test_the_strongest_bet_is_named() -> None:
    """Of two bets the one whose frames lie outside is the reason."""
    two = bets([0.1, 0.1], [0.9, 0.9])
    evidence = DriftEvidence.none(two)
    for _ in range(10):
        evidence = evidence.after(np.array([False, True]), two)
    assert evidence.strongest(two) == 1
    assert evidence.rising.tolist() == [0, 10]
