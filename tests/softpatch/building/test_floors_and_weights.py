"""Noise floor, projection and soft weights against their definitions."""

import numpy as np
import pytest

from softpatch.building.noise_floor import noise_floor
from softpatch.building.projection import project, projection_matrix
from softpatch.building.soft_weights import soft_weights


def test_the_floor_is_the_first_percentile_of_nearest_distances() -> None:
    """Written out over every position and frame."""
    embeddings = np.random.default_rng(0).normal(size=(30, 3, 4, 8)).astype(np.float32)
    distance = np.linalg.norm(embeddings[:, None].astype(np.float64) - embeddings[None], axis=-1)
    distance[np.arange(30), np.arange(30)] = np.inf
    assert noise_floor(embeddings) == pytest.approx(np.percentile(distance.min(axis=1), 1), rel=1e-4)


def test_copies_say_nothing_about_noise() -> None:
    """With half the grid static the floor is that of the other half, and of copies alone it is zero."""
    embeddings = np.random.default_rng(1).normal(size=(30, 2, 4, 8)).astype(np.float32)
    moving = noise_floor(embeddings[:, :, 2:])
    embeddings[:, :, :2] = embeddings[0, :, :2]
    assert noise_floor(embeddings) == pytest.approx(moving)
    assert noise_floor(np.repeat(embeddings[:1], 5, axis=0)) == 0
    assert noise_floor(embeddings[:1]) == 0


def test_projection_keeps_distances_and_leaves_small_dimensions_alone() -> None:
    """Johnson and Lindenstrauss: 1,000 dimensions in 128, distances within 25 %; 100 in 128 is the identity."""
    patches = np.random.default_rng(0).normal(size=(40, 1000)).astype(np.float32)
    shrunk = project(patches, projection_matrix(1000, 128, seed=1))
    assert shrunk.shape == (40, 128)
    before = np.linalg.norm(patches[:20] - patches[20:], axis=1)
    np.testing.assert_allclose(np.linalg.norm(shrunk[:20] - shrunk[20:], axis=1), before, rtol=0.25)
    np.testing.assert_array_equal(projection_matrix(100, 128, seed=1), np.eye(100))
    assert (projection_matrix(1000, 128, seed=1) != projection_matrix(1000, 128, seed=2)).any()


def test_soft_weights_are_factors_over_the_median_clipped() -> None:
    """Half, once and twice the median, and beyond both bounds; without a median they are ones."""
    factors = np.array([0.1, 1, 2, 4, 100], np.float32)
    np.testing.assert_array_equal(soft_weights(factors, median_kept=2.0, low=0.5, high=4.0), [0.5, 0.5, 1, 2, 4])
    np.testing.assert_array_equal(soft_weights(factors, median_kept=0.0, low=0.5, high=4.0), np.ones(5))
