"""LOF and the Gaussian against scikit-learn, nearest against the definition."""

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance
from sklearn.neighbors import LocalOutlierFactor

from softpatch.discriminators import Gaussian, Lof, NearestFrame

POSITIONS = [(row, column) for row in range(2) for column in range(3)]


def frames(count: int, seed: int, dims: int = 24) -> np.ndarray:
    """Random patches on a 2 x 3 grid, away from the origin as real embeddings are."""
    return np.random.default_rng(seed).normal(5, 1, size=(count, 2, 3, dims)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 6, 20])
@pytest.mark.parametrize("count", [2, 7, 60])
def test_lof_is_scikit_learns(k: int, count: int) -> None:
    """Without a floor, each position is scikit-learn's LOF of that position's patches; k shrinks to the others."""
    embeddings = frames(count, seed=k)
    found = Lof(k).factors(embeddings, noise_floor=0.0)
    for row, column in POSITIONS:
        judge = LocalOutlierFactor(min(k, count - 1)).fit(embeddings[:, row, column].astype(np.float64))
        np.testing.assert_allclose(found[:, row, column], -judge.negative_outlier_factor_, rtol=1e-4)


def test_a_floor_bounds_the_factor_beside_copies() -> None:
    """Seven copies and one patch at distance 3, floor 0.5: the factor is 3 / 0.5, not without bound."""
    embeddings = np.zeros((8, 1, 1, 4), np.float32)
    embeddings[7, 0, 0, 0] = 3
    factors = Lof(6).factors(embeddings, noise_floor=0.5)[:, 0, 0]
    np.testing.assert_allclose(factors, [1] * 7 + [6], rtol=1e-5)


def test_lof_needs_a_neighbour() -> None:
    """A k below one is refused in a sentence."""
    with pytest.raises(ValueError, match=r"^k is 0; LOF needs at least one neighbour$"):
        Lof(0)


def test_gaussian_is_scikit_learns_mahalanobis_distance() -> None:
    """EmpiricalCovariance divides by N, Eq. 2 by N - 1: its distance is scaled before it is compared."""
    embeddings = frames(60, seed=1)
    found = Gaussian(epsilon=1e-9).factors(embeddings, noise_floor=0.0)
    for row, column in POSITIONS:
        patches = embeddings[:, row, column].astype(np.float64)
        judge = EmpiricalCovariance().fit(patches)
        np.testing.assert_allclose(found[:, row, column] ** 2, judge.mahalanobis(patches) * 59 / 60, rtol=1e-3)


def test_gaussian_regularises_as_the_equation_says() -> None:
    """SoftPatch Eq. 2 and 3 written out, with epsilon and with fewer frames than dimensions."""
    embeddings = frames(10, seed=2)
    found = Gaussian(epsilon=0.01).factors(embeddings, noise_floor=0.0)
    patches = embeddings[:, 1, 2].astype(np.float64)
    inverse = np.linalg.inv(np.cov(patches.T) + 0.01 * np.eye(24))
    away = patches - patches.mean(axis=0)
    np.testing.assert_allclose(found[:, 1, 2], np.sqrt(np.diag(away @ inverse @ away.T)), rtol=1e-3)


def test_nearest_is_the_distance_to_the_nearest_other_frame() -> None:
    """SoftPatch Eq. 1 written out."""
    embeddings = frames(30, seed=3)
    exact = np.linalg.norm(embeddings[:, None].astype(np.float64) - embeddings[None], axis=-1)
    exact[np.arange(30), np.arange(30)] = np.inf
    np.testing.assert_allclose(NearestFrame().factors(embeddings, noise_floor=0.0), exact.min(axis=1), rtol=1e-4)
