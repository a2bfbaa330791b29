"""Greedy k-center against its definition in NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softpatch.building.coreset import SAMPLERS, Coreset, Greedy, LostPicks, Sampler, coreset_size
from softpatch.settings import SamplerName


def definition(patches: np.ndarray, size: int) -> list[int]:
    """The definition, in float64, with nothing pruned: farthest from the mean, then farthest from every pick."""
    exact = patches.astype(np.float64)
    mean = exact.mean(axis=0).astype(np.float32)
    picks = [int(((exact - mean) ** 2).sum(axis=1).argmax())]
    nearest = np.full(len(patches), np.inf)
    while len(picks) < min(size, len(patches)):
        nearest = np.minimum(nearest, ((exact - exact[picks[-1]]) ** 2).sum(axis=-1))
        if nearest.max() == 0:
            break
        picks.append(int(nearest.argmax()))
    return picks


def greedy(patches: np.ndarray, size: int) -> list[int]:
    """The picks of the sampler in force."""
    return list(Greedy().draw(patches, size, seed=0).picks.tolist())


def clustered(seed: int) -> np.ndarray:
    """900 patches about 12 centres, where pruning bites."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, 32)) * 6
    return (centres[rng.integers(12, size=900)] + rng.normal(size=(900, 32))).astype(np.float32)


def refill(sampler: Sampler, patches: np.ndarray, drawn: Coreset, gone: np.ndarray) -> tuple[list[int], list[int]]:
    """Which patches may replace the lost picks (not the picks themselves), and which do."""
    uncovered = np.flatnonzero(gone[drawn.nearest])
    uncovered = uncovered[~np.isin(uncovered, drawn.picks)]
    rows = sampler.refill(LostPicks(patches[drawn.picks], gone, patches[uncovered], drawn.nearest[uncovered]), seed=1)
    return uncovered.tolist(), uncovered[rows].tolist()


def radius(patches: np.ndarray, picks: list[int]) -> np.ndarray:
    """Each patch's squared distance to its nearest pick."""
    return ((patches[:, None] - patches[picks]) ** 2).sum(axis=-1).min(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_greedy_picks_what_the_definition_picks(seed: int) -> None:
    """Clustered patches, where pruning bites: the same picks in the same order."""
    patches = clustered(seed)
    assert greedy(patches, 120) == definition(patches, 120)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 30), size=st.integers(1, 60))
def test_ties_go_to_the_lowest_row_and_no_vector_comes_twice(seed: int, count: int, size: int) -> None:
    """Patches on a coarse lattice, full of ties and copies; mirrored, so that float32 is exact for their mean, too."""
    drawn = np.random.default_rng(seed).integers(0, 3, size=(count, 3)).astype(np.float32)
    patches = np.concatenate([drawn, 2 - drawn])
    picks = greedy(patches, size)
    assert picks == definition(patches, size)
    assert len(np.unique(patches[picks], axis=0)) == len(picks)


@pytest.mark.parametrize("seed", range(4))
def test_every_patch_knows_its_nearest_pick(seed: int) -> None:
    """The nearest of all picks, searched for; where two are as near, either will do."""
    patches = clustered(seed)
    drawn = Greedy().draw(patches, 120, seed=0)
    distances = ((patches[:, None].astype(np.float64) - patches[drawn.picks]) ** 2).sum(axis=-1)
    mine = distances[np.arange(len(patches)), drawn.nearest]
    np.testing.assert_allclose(mine, distances.min(axis=1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_refilled_greedy_coreset_covers_uncovered_patches_as_the_definition_does(seed: int) -> None:
    """A twelfth of the picks is lost. The definition looks at all distances; ours at those to the 32 nearest picks."""
    patches = clustered(seed)
    drawn = Greedy().draw(patches, 120, seed=0)
    gone = np.arange(120) % 12 == seed
    uncovered, replacements = refill(Greedy(), patches, drawn, gone)
    exact, left = patches.astype(np.float64), drawn.picks[~gone].tolist()
    expected: list[int] = []
    for _ in range(10):
        expected.append(uncovered[int(radius(exact, [*left, *expected])[uncovered].argmax())])
    assert len(set(replacements) & set(expected)) >= 8
    covered = [radius(exact, [*left, *picks])[uncovered].max() for picks in (replacements, expected)]
    assert covered[0] <= covered[1] * 1.05


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_is_seeded_draws_without_replacement_and_replaces_as_many_as_are_lost(name: SamplerName) -> None:
    """Every sampler: also where nothing is lost, where no patch can replace a pick, and for an empty window."""
    sampler = SAMPLERS[name]
    assert isinstance(sampler, Sampler)
    patches = clustered(0)
    drawn = sampler.draw(patches, 60, seed=3)
    assert drawn.picks.tolist() == sampler.draw(patches, 60, seed=3).picks.tolist()
    assert len(set(drawn.picks.tolist())) == 60
    assert drawn.nearest[drawn.picks].tolist() == list(range(60))
    gone = np.arange(60) < 7
    uncovered, replacements = refill(sampler, patches, drawn, gone)
    assert len(replacements) == len(set(replacements)) == 7
    assert set(replacements) <= set(uncovered) - set(drawn.picks.tolist())
    assert replacements == refill(sampler, patches, drawn, gone)[1]
    assert refill(sampler, patches, drawn, gone & False)[1] == []
    no_patches = sampler.refill(LostPicks(patches[drawn.picks], gone, patches[:0], drawn.nearest[:0]), seed=0)
    assert len(no_patches) == 0
    assert len(sampler.draw(np.zeros((0, 4), np.float32), 5, seed=0).picks) == 0


def test_random_draws_differ_by_seed() -> None:
    """Two seeds, two sets of picks."""
    patches = clustered(0)
    one, other = (SAMPLERS["random"].draw(patches, 40, seed=seed).picks.tolist() for seed in (3, 4))
    assert one != other


def test_of_copies_one_replaces_a_lost_pick() -> None:
    """Six equal frames: one of the copies of the lost pick, and no second one."""
    patches = np.repeat(np.eye(4, dtype=np.float32), 6, axis=0)
    drawn = Greedy().draw(patches, 24, seed=0)
    assert len(drawn.picks) == 4
    _, replacements = refill(Greedy(), patches, drawn, np.array([True, False, False, False]))
    assert patches[replacements].tolist() == patches[drawn.picks[:1]].tolist()


@pytest.mark.parametrize(("kept", "expected"), [(3, 1), (100, 10), (39_990, 3999), (1_000_000, 4000)])
def test_the_size_is_a_share_with_a_cap_and_at_least_one(kept: int, expected: int) -> None:
    """10 % and at most 4,000."""
    assert coreset_size(kept, ratio=0.1, cap=4000) == expected
