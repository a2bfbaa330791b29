"""Greedy k-center against a written-out twin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softpatch.coreset import coreset_size, greedy_coreset, random_coreset


def twin(patches: np.ndarray, size: int) -> list[int]:
    """The definition, in float64, with nothing pruned: farthest from the mean, then farthest from every pick."""
    exact = patches.astype(np.float64)
    mean = exact.mean(axis=0).astype(np.float32)
    picks = [int(((exact - mean) ** 2).sum(axis=1).argmax())]
    while len(picks) < min(size, len(patches)):
        nearest = ((exact[:, None] - exact[picks]) ** 2).sum(axis=-1).min(axis=1)
        if nearest.max() == 0:
            break
        picks.append(int(nearest.argmax()))
    return picks


@pytest.mark.parametrize("seed", range(4))
def test_greedy_picks_what_the_definition_picks(seed: int) -> None:
    """Clustered patches, where pruning bites: the same picks in the same order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 32)) * 6
    patches = (centres[rng.integers(12, size=900)] + rng.normal(size=(900, 32))).astype(np.float32)
    assert greedy_coreset(patches, 120).tolist() == twin(patches, 120)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 30), size=st.integers(1, 60))
def test_ties_go_to_the_lowest_row_and_no_vector_comes_twice(seed: int, count: int, size: int) -> None:
    """Patches on a coarse lattice, full of ties and copies; mirrored, so that float32 is exact for their mean, too."""
    drawn = np.random.default_rng(seed).integers(0, 3, size=(count, 3)).astype(np.float32)
    patches = np.concatenate([drawn, 2 - drawn])
    picks = greedy_coreset(patches, size)
    assert picks.tolist() == twin(patches, size)
    assert len(np.unique(patches[picks], axis=0)) == len(picks)


def test_the_first_picks_are_the_smaller_coreset() -> None:
    """Calibration reads the coreset of half the size off the front of the larger one."""
    patches = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    assert greedy_coreset(patches, 100)[:50].tolist() == greedy_coreset(patches, 50).tolist()


def test_random_picks_are_seeded_and_without_replacement() -> None:
    """Same seed, same picks; no row twice."""
    patches = np.zeros((100, 2), np.float32)
    picks = random_coreset(patches, 40, seed=3)
    assert picks.tolist() == random_coreset(patches, 40, seed=3).tolist()
    assert picks.tolist() != random_coreset(patches, 40, seed=4).tolist()
    assert len(set(picks.tolist())) == 40


@pytest.mark.parametrize(("kept", "expected"), [(3, 1), (100, 10), (39_990, 3999), (1_000_000, 4000)])
def test_the_size_is_a_share_with_a_cap_and_at_least_one(kept: int, expected: int) -> None:
    """10 % and at most 4,000."""
    assert coreset_size(kept, ratio=0.1, cap=4000) == expected
