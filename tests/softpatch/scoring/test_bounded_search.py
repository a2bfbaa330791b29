"""When the search on the CPU looks at a bound first, and that it then finds what the definition finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from softpatch.scoring.bounded_search import LEAST_DIMENSIONS, BoundedSearch, cpu_search
from softpatch.scoring.search import FlatSearch, NoNeighbour

DIMENSIONS = LEAST_DIMENSIONS


def patches(count: int, *, seed: int, spread: float = 0.05, offset: float = 0.0) -> np.ndarray:
    """Patches that differ along twelve directions, and by a little noise along all."""
    directions = np.random.default_rng(1).normal(size=(12, DIMENSIONS))
    rng = np.random.default_rng((2, seed))
    along = rng.normal(size=(count, 12)) @ directions
    return (offset + along + spread * rng.normal(size=(count, DIMENSIONS))).astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_where_patches_differ_along_few_directions_little_is_compared_in_full(
    offset: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neighbours of two frames are those of the definition in float64; no query meets the whole bank in full."""
    bank, queries = patches(900, seed=0, offset=offset), patches(150, seed=1, offset=offset)
    queries[:5] = bank[:5]
    frames = np.random.default_rng(0).integers(0, 12, 900).astype(np.int32)
    search = cpu_search(bank, threads=2)
    assert isinstance(search, BoundedSearch)
    monkeypatch.setattr(FlatSearch, "_compared", lambda *_: pytest.fail("compared with the whole bank"))
    found, nearest = search.nearest_two_frames(queries, frames), search.nearest(queries)
    exact = cdist(queries.astype(np.float64), bank)
    other = np.where(frames == frames[exact.argmin(axis=1)][:, None], np.inf, exact).min(axis=1)
    np.testing.assert_array_equal(found.row, exact.argmin(axis=1))
    np.testing.assert_array_equal(nearest.row, found.row)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nearest.distance, found.distance)
    np.testing.assert_allclose(found.second_frame_distance, other, rtol=1e-5)


def test_where_they_differ_along_all_or_have_few_dimensions_all_are_compared() -> None:
    """A bound that leaves much only costs time."""
    noise = np.random.default_rng(0).normal(size=(300, DIMENSIONS)).astype(np.float32)
    assert type(cpu_search(noise)) is FlatSearch
    assert type(cpu_search(patches(900, seed=0)[:, : DIMENSIONS // 2])) is FlatSearch


def test_queries_far_from_the_bank_are_compared_with_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what differs from the bank along no axis the bound says little; the same neighbours are found."""
    bank = patches(900, seed=0)
    search = cpu_search(bank, threads=1)
    assert isinstance(search, BoundedSearch)
    strange = np.random.default_rng(3).normal(size=(20, DIMENSIONS)).astype(np.float32) * 100
    strange -= strange @ search._basis @ search._basis.T
    frames = np.arange(900, dtype=np.int32) % 7
    flat = FlatSearch(bank).nearest_two_frames(strange, frames)
    compared, in_full = FlatSearch._compared, []
    monkeypatch.setattr(FlatSearch, "_compared", lambda own, some: in_full.append(len(some)) or compared(own, some))
    found = search.nearest_two_frames(strange, frames)
    assert in_full == [20]
    np.testing.assert_allclose(found.distance, flat.distance, rtol=1e-6)
    np.testing.assert_allclose(found.second_frame_distance, flat.second_frame_distance, rtol=1e-6)


def test_what_is_not_finite_has_no_neighbour() -> None:
    """In a query or in the bank, as for every search."""
    bank = patches(900, seed=0)
    query = np.full((1, DIMENSIONS), np.nan, np.float32)
    with pytest.raises(NoNeighbour):
        cpu_search(bank).nearest(query)
    bank[3] = np.inf
    with pytest.raises(NoNeighbour):
        cpu_search(bank).nearest(query)
    with pytest.raises(NoNeighbour):
        cpu_search(bank[:0]).nearest(query)
