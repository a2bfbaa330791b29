"""Every search against the definition, computed here without our code."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from softpatch.scoring.bounded_search import BoundedSearch
from softpatch.scoring.search import BruteSearch, FlatSearch, NoNeighbour, Search
from softpatch.scoring.torch_search import TorchSearch

SEARCHES: dict[str, Callable[[np.ndarray], Search]] = {
    "brute": BruteSearch,
    "flat": FlatSearch,
    "flat-1": lambda bank: FlatSearch(bank, threads=1),
    "flat-3": lambda bank: FlatSearch(bank, threads=3),
    "bounded": lambda bank: BoundedSearch(bank, axes=31),
    "bounded-3": lambda bank: BoundedSearch(bank, axes=7, threads=3),
}
BY_TORCH: dict[str, Callable[[np.ndarray], Search]] = {
    "torch": TorchSearch.of,
    "torch-fp16": lambda bank: TorchSearch.of(bank, half=True),
}
ON_TORCH = [pytest.param(make, id=name, marks=pytest.mark.export) for name, make in BY_TORCH.items()]
each_search = pytest.mark.parametrize(
    "make", [*(pytest.param(make, id=name) for name, make in SEARCHES.items()), *ON_TORCH]
)


@pytest.fixture(autouse=True)
def _torch(request: pytest.FixtureRequest) -> None:
    if "export" in request.keywords:
        pytest.importorskip("torch", reason="needs the export extra")


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


@pytest.mark.parametrize("make", [pytest.param(BruteSearch, id="brute"), *ON_TORCH])
def test_near_duplicates_far_from_the_origin_are_told_apart(make: Callable[[np.ndarray], Search]) -> None:
    """Forty patches of norm 100, 0.05 to 2 apart: FAISS may take one that is 0.01 farther than the nearest."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=152) * 8
    apart = rng.normal(size=(40, 152)) / np.sqrt(152) * np.linspace(0.05, 2, 40)[:, None]
    bank = np.concatenate([centre + apart, rng.normal(size=(200, 152)) * 8]).astype(np.float32)
    queries = (centre + rng.normal(size=(30, 152)) * 0.2 / np.sqrt(152)).astype(np.float32)
    frames = (np.arange(240) % 40 // 30).astype(np.int32)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - bank, axis=-1)
    other = np.where(frames == frames[exact.argmin(axis=1)][:, None], np.inf, exact).min(axis=1)
    search = make(bank)
    np.testing.assert_allclose(search.nearest(queries).distance, exact.min(axis=1), rtol=1e-3)
    found = search.nearest_two_frames(queries, frames)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-3)
    np.testing.assert_allclose(found.second_frame_distance, other, rtol=1e-3)


@each_search
def test_a_large_bank_of_one_frame_has_no_second_frame(make: Callable[[np.ndarray], Search]) -> None:
    """More patches than are looked at first."""
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(90, 12)).astype(np.float32), rng.normal(size=(20, 12)).astype(np.float32)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - bank, axis=-1).min(axis=1)
    found = make(bank).nearest_two_frames(queries, np.full(90, 7, np.int32))
    np.testing.assert_allclose(found.distance, exact, rtol=1e-5)
    np.testing.assert_array_equal(found.second_frame_distance, found.distance)


@each_search
def test_where_many_patches_tie_any_of_them_is_right(make: Callable[[np.ndarray], Search]) -> None:
    """Fifty copies of each of two patches: the second frame is at the distance of the first where it holds a copy."""
    patches = np.array([[0, 0, 0], [3, 4, 0]], np.float32)
    bank, frames = np.repeat(patches, 50, axis=0), np.tile(np.array([0, 1], np.int32), 50)
    queries = np.array([[0, 0, 0], [3, 4, 0], [0, 0, 2]], np.float32)
    found = make(bank).nearest_two_frames(queries, frames)
    np.testing.assert_array_equal(found.row // 50, [0, 1, 0])
    np.testing.assert_allclose(found.distance, [0, 0, 2])
    np.testing.assert_allclose(found.second_frame_distance, [0, 0, 2])
    np.testing.assert_allclose(make(bank).nearest_two_frames(queries, frames * 0).second_frame_distance, [0, 0, 2])


@each_search
def test_queries_much_longer_than_the_bank_are_answered(make: Callable[[np.ndarray], Search]) -> None:
    """A hundred thousand times: more than fp16 holds."""
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(60, 8)).astype(np.float32)
    queries = (rng.normal(size=(5, 8)) * 1e5).astype(np.float32)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - bank, axis=-1).min(axis=1)
    np.testing.assert_allclose(make(bank).nearest(queries).distance, exact, rtol=1e-5)


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
