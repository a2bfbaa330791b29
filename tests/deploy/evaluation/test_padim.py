"""PaDiM against scikit-learn's covariance, one position at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from deploy.evaluation.methods.padim import EPSILON, Padim, trusted_frames


def test_distances_are_scikit_learns_mahalanobis_distances() -> None:
    """At every position: the unbiased covariance plus epsilon on the diagonal, inverted by scikit-learn's own means."""
    rng = np.random.default_rng(0)
    window = rng.normal(size=(40, 2, 3, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32)
    query = rng.normal(size=(5, 2, 3, 8)).astype(np.float32) * 4
    found = Padim.fit(window, seed=0).score(query)
    for row in range(2):
        for column in range(3):
            twin = EmpiricalCovariance().fit(window[:, row, column].astype(np.float64))
            covariance = twin.covariance_ * 40 / 39 + EPSILON * np.eye(8)
            centred = query[:, row, column] - twin.location_
            exact = np.sqrt(np.einsum("nd,de,ne->n", centred, np.linalg.inv(covariance), centred))
            np.testing.assert_allclose([frame.patch_scores[row, column] for frame in found], exact, rtol=1e-4)
    assert [frame.score for frame in found] == [frame.patch_scores.max() for frame in found]


def test_wide_embeddings_are_thinned_to_the_same_dimensions_for_the_same_seed() -> None:
    """The random selection is a function of the seed."""
    window = np.random.default_rng(0).normal(size=(6, 1, 1, 300)).astype(np.float32)
    first, again, other = (Padim.fit(window, seed=seed).dimensions for seed in (1, 1, 2))
    assert len(first) == 100
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_single_frame_is_refused() -> None:
    """One frame has no covariance."""
    with pytest.raises(ValueError, match="PaDiM needs at least 2"):
        Padim.fit(np.zeros((1, 1, 1, 4), np.float32), seed=0)


def test_denoising_drops_the_worst_frames_and_keeps_the_order() -> None:
    """A quarter of four frames is one frame: the worst."""
    kept = trusted_frames(np.array([1, 9, 3, 2], np.float32), 0.25)
    np.testing.assert_array_equal(kept, [0, 2, 3])
