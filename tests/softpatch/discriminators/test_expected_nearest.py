"""The expected nearest distance against its definition: every subset of the other frames, weighed by its chance."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from softpatch.discriminators.expected_nearest import ExpectedNearest


def written_out(embeddings: np.ndarray, inclusion: float) -> np.ndarray:
    """Mean over all non-empty subsets of the other frames of the distance to the nearest patch within one position."""
    frames, rows, columns, _ = embeddings.shape
    out = np.zeros((frames, rows, columns))
    for i, r, q in np.ndindex(frames, rows, columns):
        others = [
            min(
                np.linalg.norm(embeddings[i, r, q].astype(float) - embeddings[j, a, b])
                for a in range(max(0, r - 1), min(rows, r + 2))
                for b in range(max(0, q - 1), min(columns, q + 2))
            )
            for j in range(frames)
            if j != i
        ]
        total = weight = 0.0
        for chosen in itertools.product([False, True], repeat=len(others)):
            if any(chosen):
                chance = np.prod([inclusion if c else 1 - inclusion for c in chosen])
                total += chance * min(d for d, c in zip(others, chosen, strict=True) if c)
                weight += chance
        out[i, r, q] = total / weight
    return out


@pytest.mark.parametrize("inclusion", [0.3, 0.5, 1.0])
def test_it_is_the_mean_over_all_subsets_of_the_other_frames(inclusion: float) -> None:
    """Six frames have 31 non-empty subsets of others; copies and edges of the grid are among them."""
    embeddings = np.random.default_rng(0).normal(size=(6, 3, 4, 5)).astype(np.float32) + 7
    embeddings[4] = embeddings[1]
    found = ExpectedNearest(inclusion).factors(embeddings, noise_floor=0.0)
    np.testing.assert_allclose(found, written_out(embeddings, inclusion), rtol=1e-3, atol=1e-4)


def test_a_defect_that_shows_twice_is_still_suspicious() -> None:
    """To the nearest-frame distance the two copies vouch for each other; here they do not."""
    rng = np.random.default_rng(1)
    embeddings = rng.normal(size=(30, 2, 2, 16)).astype(np.float32)
    embeddings[[3, 20], 1, 1] = rng.normal(size=16) * 6
    alone, half = (ExpectedNearest(p).factors(embeddings, noise_floor=0.0)[:, 1, 1] for p in (1.0, 0.5))
    assert alone.argmin() in (3, 20)
    assert set(np.argsort(half)[-2:]) == {3, 20}


def test_a_probability_is_asked_for() -> None:
    """Zero leaves nothing to be near to."""
    with pytest.raises(ValueError, match="inclusion is 0"):
        ExpectedNearest(0.0)


def test_a_fine_grid_is_sampled_in_blocks() -> None:
    """28 x 30 positions in steps of two: the sampled ones are as on the whole grid, and give their block the factor."""
    embeddings = np.random.default_rng(2).normal(size=(5, 28, 30, 4)).astype(np.float32)
    found = ExpectedNearest().factors(embeddings, noise_floor=0.0)
    np.testing.assert_array_equal(found[:, ::2, ::2], found[:, 1::2, 1::2])
    np.testing.assert_allclose(found[:, :4:2, :4:2], written_out(embeddings[:, :5, :5], 0.5)[:, :4:2, :4:2], rtol=1e-3)
