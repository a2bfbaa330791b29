"""The stability index: its definition, and the null of its sample sizes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.psi import index, null_indices, psi, psi_p_value


def test_the_index_is_its_definition() -> None:
    """Sum of (q - p) ln(q / p) over bins, half a frame added to each bin."""
    reference, sample = np.array([10, 10, 10, 10]), np.array([20, 5, 0, 15])
    p, q = [10.5 / 42] * 4, [20.5 / 42, 5.5 / 42, 0.5 / 42, 15.5 / 42]
    expected = sum((b - a) * np.log(b / a) for a, b in zip(p, q, strict=True))
    assert index(reference, sample) == pytest.approx(expected)


def test_equal_samples_have_no_index() -> None:
    """A sample equal to the reference differs in no bin."""
    ordered = np.sort(np.random.default_rng(0).normal(size=200))
    assert psi(ordered, ordered) == 0.0


def test_the_null_is_near_its_asymptote() -> None:
    """For large samples the index is (1/n + 1/m) times a chi-squared variable of bins - 1 degrees (Yurdakul, 2018)."""
    n, m = 2000, 1000
    null = null_indices(n, m)
    for share in (0.5, 0.9, 0.99):
        expected = (1 / n + 1 / m) * stats.chi2.ppf(share, 9)
        assert np.quantile(null, share) == pytest.approx(expected, rel=0.1)


def test_fixed_limits_would_cry_wolf() -> None:
    """Half of all undisturbed samples of 64 frames pass the usual limit of 0.1: the null's p-values stay even."""
    rng = np.random.default_rng(1)
    values = [psi(np.sort(rng.exponential(size=300)), rng.exponential(size=64)) for _ in range(400)]
    p_values = [psi_p_value(value, reference_frames=300, sample_frames=64) for value in values]
    assert np.mean(np.array(values) > 0.1) > 0.5
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_shift_is_seen() -> None:
    """A sample one standard deviation away has a p-value of the least there is."""
    rng = np.random.default_rng(2)
    value = psi(np.sort(rng.normal(size=300)), rng.normal(1, 1, 64))
    assert psi_p_value(value, reference_frames=300, sample_frames=64) == pytest.approx(1 / 2001)
