"""Discrepancy of sketches, against the estimator written out and its own null."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist

from monitoring.drift.mmd import gaussian_kernel, mmd


def written_out(kernel: np.ndarray, n: int) -> float:
    """Gretton et al. 2012, Eq. 3: means over all pairs of different frames, and all cross pairs."""
    first, second = range(n), range(n, len(kernel))
    within = [np.mean([kernel[i, j] for i, j in permutations(group, 2)]) for group in (first, second)]
    return float(sum(within) - 2 * np.mean([kernel[i, j] for i in first for j in second]))


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_the_estimate_is_the_formula(shift: float) -> None:
    """The matrix product over relabellings equals the loops of the definition."""
    rng = np.random.default_rng(0)
    reference, sample = rng.normal(size=(23, 4)), rng.normal(shift, 1, (11, 4))
    kernel = gaussian_kernel(np.concatenate([reference, sample]))
    assert mmd(reference, sample, rng).squared == pytest.approx(written_out(kernel, 23))


def test_the_kernel_is_as_wide_as_the_median_distance() -> None:
    """Half of all pairs are nearer than exp(-1) says."""
    sketches = np.random.default_rng(1).normal(size=(41, 6))
    expected = np.exp(-(pdist(sketches, "sqeuclidean") / np.median(pdist(sketches, "sqeuclidean"))))
    assert gaussian_kernel(sketches)[np.triu_indices(41, 1)] == pytest.approx(expected)


def test_p_values_of_undisturbed_samples_are_even() -> None:
    """Exchangeable frames give every p-value alike."""
    rng = np.random.default_rng(2)
    drawn = [mmd(rng.normal(size=(40, 8)), rng.normal(size=(16, 8)), rng, permutations=19).p_value for _ in range(600)]
    counts = np.bincount(np.rint(np.array(drawn) * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_change_of_spread_is_seen() -> None:
    """Equal means and another spread: no comparison of means would notice."""
    rng = np.random.default_rng(3)
    assert mmd(rng.normal(size=(200, 32)), rng.normal(0, 1.5, (64, 32)), rng).p_value == pytest.approx(1 / 201)


def test_equal_sketches_differ_in_nothing() -> None:
    """A line of identical frames has no kernel width; it is not a division by zero."""
    same = np.ones((10, 32))
    found = mmd(same, same, np.random.default_rng(4))
    assert found.squared == pytest.approx(0)
    assert found.p_value == 1.0
