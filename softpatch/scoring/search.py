"""The nearest bank patches of every query patch, exactly: the Protocol, its definition, and the search on the CPU."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int32, Int64
from threadpoolctl import threadpool_limits

from softpatch.threads import available_cores

Vectors = Float32[np.ndarray, "m d"]
FrameOfRow = Int32[np.ndarray, "m"]

SECOND_FRAME_DEPTH = 8
"""Nearest patches among which a search on a GPU seeks a second frame at first: nearly always there is one."""

QUERIES_AT_ONCE = 512
"""Queries compared with the whole bank in one matrix product, at most: 8 MB against 4,000 patches. By fewer at a time
BLAS packs the bank more often: a fifth slower at 128, on two cores."""


class NoNeighbour(ValueError):
    """Some query has no nearest bank patch: the bank is empty, or a value is not finite."""

    def __init__(self, *, bank_patches: int, queries: int) -> None:
        why = "a query (or the bank) holds a value that is not finite" if bank_patches else "the bank is empty"
        super().__init__(f"no nearest patch for some of {queries} queries among {bank_patches} bank patches: {why}")
        self.bank_patches = bank_patches
        self.queries = queries


class Nearest(NamedTuple):
    """Per query: L2 distance (not squared) to the nearest bank patch, and the row of that patch."""

    distance: Float32[np.ndarray, "n"]
    row: Int64[np.ndarray, "n"]


class TwoFrameNearest(NamedTuple):
    """Per query: distance to the nearest bank patch, its row, and the distance to the nearest patch of another frame.

    Where all bank patches are of one frame, both distances are the same.
    """

    distance: Float32[np.ndarray, "n"]
    row: Int64[np.ndarray, "n"]
    second_frame_distance: Float32[np.ndarray, "n"]


@runtime_checkable
class Search(Protocol):
    """Exact nearest neighbours among the patches it was made from. Where two are equally near, either row is right."""

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """Distance and row per query.

        Raises:
            NoNeighbour: the bank is empty, or a query is not finite.
        """
        ...

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """The nearest patch and its second-frame neighbour; `frames` gives the frame that each bank patch is from.

        Raises NoNeighbour as `nearest` does.
        """
        ...

    def part(self, rows: slice) -> "Search":
        """A search among those rows alone; its row 0 is the first of them."""
        ...


class BruteSearch:
    """The definition in NumPy, what other searches are tested against; never optimised."""

    def __init__(self, bank: Vectors) -> None:
        self._bank = bank

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        distance = self._distances(queries)
        return Nearest(distance.min(axis=1), distance.argmin(axis=1))

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search."""
        distance = self._distances(queries)
        row = distance.argmin(axis=1)
        second = np.where(frames == frames[row][:, None], np.float32(np.inf), distance).min(axis=1)
        nearest = distance.min(axis=1)
        return TwoFrameNearest(nearest, row, np.where(np.isinf(second), nearest, second))

    def part(self, rows: slice) -> "BruteSearch":
        """See Search."""
        return BruteSearch(self._bank[rows])

    def _distances(self, queries: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n m"]:
        if not len(self._bank):
            raise NoNeighbour(bank_patches=0, queries=len(queries))
        distance = np.linalg.norm(queries[:, None] - self._bank, axis=-1)
        if not np.isfinite(distance).all():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return np.asarray(distance)


class FlatSearch:
    """Every query compared with every patch, by matrix products of NumPy's BLAS.

    Queries are split over `threads` workers of one BLAS thread each. From the first search on BLAS has no more than
    that in this process: its own threads spin while they wait, on cores that the network needs. FAISS is not used: its
    wheel brings a BLAS of 2021 that takes new processors for old ones, a third of the speed where it was measured
    (docs/performance.md). Distances are computed again from each pair of neighbours: the BLAS form |y|^2 / 2 - xy
    cancels where patches nearly agree.
    """

    def __init__(self, bank: Vectors, *, threads: int | None = None) -> None:
        self._bank = np.ascontiguousarray(bank)
        self._threads = threads or available_cores()

    @cached_property
    def _half_squares(self) -> Float32[np.ndarray, "m"]:
        return np.asarray(np.square(self._bank).sum(axis=1) / 2)

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        row, distance = self._by_parts(queries, self._nearest_rows)
        return Nearest(distance, row)

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search."""
        row, distance, second = self._by_parts(queries, lambda part: self._rows_of_two_frames(part, frames))
        return TwoFrameNearest(distance, row, second)

    def part(self, rows: slice) -> "FlatSearch":
        """See Search."""
        return FlatSearch(self._bank[rows], threads=self._threads)

    def _by_parts(
        self, queries: np.ndarray, search: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        """Rows and distances of all queries, by a search of some of them: every worker has its share."""
        if not len(self._bank):
            raise NoNeighbour(bank_patches=0, queries=len(queries))
        size = max(1, min(QUERIES_AT_ONCE, -(-len(queries) // self._threads)))
        parts = [queries[start : start + size] for start in range(0, max(1, len(queries)), size)]
        found = tuple(map(np.concatenate, zip(*_workers(self._threads).map(search, parts), strict=True)))
        if not np.isfinite(found[1]).all():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return found

    def _nearest_rows(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        row = self._compared(queries).argmin(axis=1)
        return row, self._distance(queries, row)

    def _rows_of_two_frames(self, queries: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        compared = self._compared(queries)
        row = compared.argmin(axis=1)
        distance = self._distance(queries, row)
        if (frames == frames[0]).all():
            return row, distance, distance
        np.copyto(compared, np.float32(np.inf), where=frames == frames[row][:, None])
        return row, distance, self._distance(queries, compared.argmin(axis=1))

    def _compared(self, queries: np.ndarray) -> np.ndarray:
        """Smaller for nearer patches: half the squared distance, less half the query's own square."""
        with np.errstate(over="ignore", invalid="ignore"):  # the distances tell
            product = queries @ self._bank.T
            return np.asarray(np.subtract(self._half_squares, product, out=product))

    def _distance(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.linalg.norm(queries - self._bank[rows], axis=1))


def second_frame_among(
    queries: Float32[np.ndarray, "n d"], bank: Vectors, frames: FrameOfRow, rows: Int64[np.ndarray, "n k"]
) -> TwoFrameNearest:
    """The nearest of two frames among each query's k nearest rows; among all rows where those are of one frame."""
    row = rows[:, 0]
    of_other_frame = frames[rows] != frames[row][:, None]
    second = rows[np.arange(len(rows)), of_other_frame.argmax(axis=1)]  # the nearest itself where there is none
    distance, second_distance = (np.linalg.norm(queries - bank[each], axis=1) for each in (row, second))
    missing = np.flatnonzero(~of_other_frame.any(axis=1))
    if len(missing):
        second_distance[missing] = FlatSearch(bank).nearest_two_frames(queries[missing], frames).second_frame_distance
    return TwoFrameNearest(distance, row, second_distance)


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """One pool for all banks of the process, so that the number of threads does not grow with the number of views."""
    # For good: setting it takes a millisecond, and of searches at once each would undo what another set.
    threadpool_limits(1, user_api="blas")
    return ThreadPoolExecutor(threads, "flat-search")
