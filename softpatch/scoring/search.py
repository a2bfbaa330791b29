"""The nearest bank patches of every query patch, exactly: the Protocol, the definition in NumPy, and FAISS."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Float32, Int32, Int64

from softpatch.threads import available_cores

Vectors = Float32[np.ndarray, "m d"]
FrameOfRow = Int32[np.ndarray, "m"]

SECOND_FRAME_DEPTH = 8
"""Nearest patches among which a second frame is sought at first: nearly always there is one, and a search for eight
takes a quarter longer than one for the nearest alone."""

QUERIES_AT_ONCE = 128
"""Queries compared with the whole bank in one matrix product: 2 MB against 4,000 patches."""


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
    """FAISS on the CPU; its conventions (squared distances, -1 for "none", spinning threads) end in this class.

    FAISS leaves BLAS to larger batches than one frame's, which costs a factor of six, so the threshold is lowered for
    the whole process. Queries are split over `threads` workers of one OpenMP thread each: OpenMP's own threads spin
    while they wait, and on a shared core a search that takes 7 ms took 28. Distances are computed again from each pair
    of neighbours: the BLAS form |x|^2 - 2xy + |y|^2 cancels where patches nearly agree.
    """

    def __init__(self, bank: Vectors, *, threads: int | None = None) -> None:
        faiss.cvar.distance_compute_blas_threshold = 1
        self._bank = np.ascontiguousarray(bank)
        self._threads = threads or available_cores()

    @cached_property
    def _index(self) -> faiss.IndexFlatL2:
        """Made at the first search: a bank that is searched in parts needs none of the whole."""
        index = faiss.IndexFlatL2(self._bank.shape[1])
        index.add(self._bank)
        return index

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        row = self._rows(queries, 1)[:, 0]
        return Nearest(np.linalg.norm(queries - self._bank[row], axis=1), row)

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search."""
        rows = self._rows(queries, SECOND_FRAME_DEPTH)
        return second_frame_among(queries, self._bank, frames, rows, threads=self._threads)

    def part(self, rows: slice) -> "FlatSearch":
        """See Search."""
        return FlatSearch(self._bank[rows], threads=self._threads)

    def _rows(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Rows of the `count` nearest patches, or of all where there are fewer, the nearest first."""
        count = max(1, min(count, len(self._bank)))
        index = self._index

        def nearest_rows(part: np.ndarray) -> np.ndarray:
            return np.asarray(index.search(part, count)[1]) if len(part) else np.empty((0, count), np.int64)

        parts = np.array_split(np.ascontiguousarray(queries), self._threads)
        rows = np.concatenate(list(_workers(self._threads).map(nearest_rows, parts)))
        if (rows < 0).any():  # NumPy would take -1 for the last patch
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return rows


def second_frame_among(
    queries: Float32[np.ndarray, "n d"],
    bank: Vectors,
    frames: FrameOfRow,
    rows: Int64[np.ndarray, "n k"],
    *,
    threads: int | None = None,
) -> TwoFrameNearest:
    """The nearest of two frames among each query's k nearest rows; among all rows where those are of one frame."""
    row = rows[:, 0]
    of_other_frame = frames[rows] != frames[row][:, None]
    second = rows[np.arange(len(rows)), of_other_frame.argmax(axis=1)]  # the nearest itself where there is none
    missing = np.flatnonzero(~of_other_frame.any(axis=1))
    if len(missing) and (frames != frames[0]).any():
        threads = threads or available_cores()
        second[missing] = _second_frame_rows(queries[missing], bank, frames, frames[row[missing]], threads)
    distance = np.linalg.norm(queries - bank[row], axis=1)
    return TwoFrameNearest(distance, row, np.linalg.norm(queries - bank[second], axis=1))


def _second_frame_rows(
    queries: Float32[np.ndarray, "n d"], bank: Vectors, frames: FrameOfRow, own: Int32[np.ndarray, "n"], threads: int
) -> Int64[np.ndarray, "n"]:
    """Row of the nearest patch that is not of frame `own`; some other frame must exist.

    Just after a product change this is every query of every frame: one matrix product for many of them at a time, on
    the same workers as a search, for NumPy's own threads spin as OpenMP's do.
    """

    def nearest_rows(part: slice) -> np.ndarray:
        squared = faiss.pairwise_distances(queries[part], bank)
        squared[frames == own[part, None]] = np.inf
        return np.asarray(squared.argmin(axis=1))

    parts = [slice(start, start + QUERIES_AT_ONCE) for start in range(0, len(queries), QUERIES_AT_ONCE)]
    return np.concatenate(list(_workers(threads).map(nearest_rows, parts)))


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """One pool for all banks of the process, so that the number of threads does not grow with the number of views."""
    return ThreadPoolExecutor(threads, "flat-search", initializer=faiss.omp_set_num_threads, initargs=(1,))
