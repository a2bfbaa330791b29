"""Distances between samples of one quantity, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from monitoring.drift.sample_distances import kolmogorov_smirnov, kolmogorov_survival, wasserstein


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("decimals", [None, 1])
def test_distances_are_scipys(seed: int, decimals: int | None) -> None:
    """Both distances are scipy's, with ties (values rounded) and without."""
    rng = np.random.default_rng(seed)
    ordered, sample = np.sort(rng.normal(size=157)), rng.normal(0.3 * seed, 1 + seed / 5, 64)
    if decimals is not None:
        ordered, sample = np.round(ordered, decimals), np.round(sample, decimals)
    assert kolmogorov_smirnov(ordered, sample)[0] == pytest.approx(stats.ks_2samp(ordered, sample).statistic)
    assert wasserstein(ordered, sample) == pytest.approx(stats.wasserstein_distance(ordered, sample))


def test_the_limit_distribution_is_scipys() -> None:
    """At both ends, and where the two series meet."""
    for value in (0.0, 1e-3, 0.05, 0.3, 0.999999, 1.0, 1.5, 4.0, 20.0):
        assert kolmogorov_survival(value) == pytest.approx(float(special.kolmogorov(value)), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_the_p_value_is_near_the_exact_one(shift: float) -> None:
    """The asymptotic p-value stays within 0.06 of the exact one at our sizes, and errs to the safe side."""
    rng = np.random.default_rng(3)
    ordered, sample = np.sort(rng.normal(size=300)), rng.normal(shift, 1, 64)
    exact = stats.ks_2samp(ordered, sample, method="exact").pvalue
    ours = kolmogorov_smirnov(ordered, sample)[1]
    assert exact - 0.001 <= ours <= exact + 0.06
