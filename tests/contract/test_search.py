"""Every search against the definition, computed here without our code."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.scoring.search import BruteSearch, FlatSearch, NoNeighbour, Search

SEARCHES = [BruteSearch, FlatSearch, lambda bank: FlatSearch(bank, threads=1), lambda bank: FlatSearch(bank, threads=3)]
each_search = pytest.mark.parametrize("make", SEARCHES, ids=["brute", "flat", "flat-1", "flat-3"])


@each_search
@pytest.mark.parametrize("seed", range(8))
def test_the_nearest_patch_is_the_one_the_formula_finds(make: Callable[[np.ndarray], Search], seed: int) -> None:
    """Distances equal the definition in float64; where two bank patches tie, either row is right."""
    rng = np.random.default_rng(seed)
    bank, queries = rng.normal(size=(500, 48)).astype(np.float32), rng.normal(size=(37, 48)).astype(np.float32)
    bank[7] = queries[0] = bank[3]
    exact = np.sqrt(((queries[:, None].astype(np.float64) - bank) ** 2).sum(-1))
    found = make(bank).nearest(queries)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(exact[np.arange(37), found.row], exact.min(axis=1), rtol=1e-4, atol=1e-3)


@each_search
@pytest.mark.parametrize("seed", range(4))
def test_the_nearest_patches_of_two_frames_are_those_the_formula_finds(
    make: Callable[[np.ndarray], Search], seed: int
) -> None:
    """By the definition in float64, also where one frame fills a whole neighbourhood."""
    rng = np.random.default_rng(seed)
    bank, queries = rng.normal(size=(300, 24)).astype(np.float32), rng.normal(size=(37, 24)).astype(np.float32)
    bank[:60] = queries[0] + rng.normal(size=(60, 24)).astype(np.float32) * np.float32(0.01)
    frames = np.where(np.arange(300) < 60, 0, rng.integers(0, 9, 300)).astype(np.int32)
    exact = np.sqrt(((queries[:, None].astype(np.float64) - bank) ** 2).sum(-1))
    other = np.where(frames == frames[exact.argmin(axis=1)][:, None], np.inf, exact).min(axis=1)
    found = make(bank).nearest_two_frames(queries, frames)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-5)
    np.testing.assert_array_equal(found.row, exact.argmin(axis=1))
    np.testing.assert_allclose(found.second_frame_distance, other, rtol=1e-5)


@each_search
def test_a_whole_frame_near_one_frame_finds_its_others(
    make: Callable[[np.ndarray], Search],
) -> None:
    """As just after a product change: one frame of the new product lies in the bank, and every query is near it."""
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(400, 24)).astype(np.float32)
    bank[:60] += np.float32(9)
    queries = (rng.normal(size=(600, 24)) + 9).astype(np.float32)
    frames = np.where(np.arange(400) < 60, 3, rng.integers(4, 9, 400)).astype(np.int32)
    exact = np.sqrt(((queries[:, None].astype(np.float64) - bank) ** 2).sum(-1))
    assert (exact.argmin(axis=1) < 60).all()
    found = make(bank).nearest_two_frames(queries, frames)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.second_frame_distance, exact[:, 60:].min(axis=1), rtol=1e-5)


@each_search
def test_where_all_patches_are_of_one_frame_both_distances_are_equal(make: Callable[[np.ndarray], Search]) -> None:
    """There is no second frame."""
    bank = np.eye(4, dtype=np.float32)
    found = make(bank).nearest_two_frames(bank * 2, np.zeros(4, np.int32))
    np.testing.assert_allclose(found.distance, np.ones(4))
    np.testing.assert_allclose(found.second_frame_distance, np.ones(4))


@each_search
def test_a_part_is_searched_alone(make: Callable[[np.ndarray], Search]) -> None:
    """Rows count from its first; patches outside it are not found."""
    bank = np.array([[0, 0], [1, 0], [5, 0], [9, 0]], np.float32)
    found = make(bank).part(slice(2, None)).nearest(np.array([[0, 0], [8, 0]], np.float32))
    np.testing.assert_array_equal(found.row, [0, 1])
    np.testing.assert_allclose(found.distance, [5, 1])


@each_search
def test_distances_far_from_the_origin_do_not_cancel(make: Callable[[np.ndarray], Search]) -> None:
    """Patches of norm 100 that are 0.01 apart: |x|^2 - 2xy + |y|^2 in float32 would say anything from 0 to 0.05."""
    rng = np.random.default_rng(0)
    bank = (rng.normal(size=(64, 152)) * 8).astype(np.float32)
    queries = bank[:10] + rng.normal(size=(10, 152)).astype(np.float32) * np.float32(0.01 / np.sqrt(152))
    exact = np.linalg.norm(queries.astype(np.float64) - bank[:10], axis=1)
    np.testing.assert_allclose(make(bank).nearest(queries).distance, exact, rtol=1e-3)


@each_search
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_queries_are_answered(make: Callable[[np.ndarray], Search], count: int) -> None:
    """Fewer than there are workers, or none."""
    bank = np.eye(4, dtype=np.float32)
    found = make(bank).nearest(bank[:count])
    np.testing.assert_array_equal(found.row, np.arange(count))
    np.testing.assert_array_equal(found.distance, np.zeros(count))


@each_search
def test_an_empty_bank_has_no_neighbour(make: Callable[[np.ndarray], Search]) -> None:
    """An error instead of an index of -1."""
    with pytest.raises(NoNeighbour) as caught:
        make(np.empty((0, 8), np.float32)).nearest(np.zeros((5, 8), np.float32))
    assert str(caught.value) == "no nearest patch for some of 5 queries among 0 bank patches: the bank is empty"


@each_search
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_query_that_is_not_finite_has_no_neighbour(make: Callable[[np.ndarray], Search], value: float) -> None:
    """NaN compares false with every threshold: it must never become a score."""
    queries = np.zeros((5, 8), np.float32)
    queries[3, 2] = value
    with pytest.raises(NoNeighbour, match="not finite"):
        make(np.ones((4, 8), np.float32)).nearest(queries)
    with pytest.raises(NoNeighbour, match="not finite"):
        make(np.ones((4, 8), np.float32)).nearest_two_frames(queries, np.arange(4, dtype=np.int32))


def test_many_banks_search_on_the_threads_of_one() -> None:
    """A process holds the banks of a thousand views; each had workers of its own."""
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(8, 6)).astype(np.float32)
    banks = rng.normal(size=(20, 30, 6)).astype(np.float32)
    searches = [FlatSearch(bank, threads=2) for bank in banks]
    before = threading.active_count()
    with ThreadPoolExecutor(4) as side_by_side:
        found = list(side_by_side.map(lambda search: search.nearest(queries).row, searches))
    assert threading.active_count() <= before + 2
    for bank, rows in zip(banks, found, strict=True):
        np.testing.assert_array_equal(rows, BruteSearch(bank).nearest(queries).row)
