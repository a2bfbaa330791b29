"""The nearest bank patch of every query patch, exactly: the Protocol, the twin to check by eye, and FAISS."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple, Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Float32, Int64

from softpatch.threads import available_cores

Patches = Float32[np.ndarray, "m d"]


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


@runtime_checkable
class Search(Protocol):
    """Exact nearest neighbour among the patches it was made from. Where two are equally near, either row is right."""

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """Distance and row per query.

        Raises:
            NoNeighbour: the bank is empty, or a query is not finite.
        """
        ...


class BruteSearch:
    """The definition, short enough to check by eye; never optimised."""

    def __init__(self, bank: Patches) -> None:
        self._bank = bank

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        if not len(self._bank):
            raise NoNeighbour(bank_patches=0, queries=len(queries))
        distance = np.linalg.norm(queries[:, None] - self._bank, axis=-1)
        if not np.isfinite(distance).all():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return Nearest(distance.min(axis=1), distance.argmin(axis=1))


class FlatSearch:
    """FAISS on the CPU; its habits (squared distances, -1 for "none", spinning threads) end in this class.

    FAISS leaves BLAS to larger batches than one frame's, which costs a factor of six, so the threshold is lowered for
    the whole process. Queries are split over `threads` workers of one OpenMP thread each: OpenMP's own threads spin
    while they wait, and on a core that others want too that took 28 ms for what takes 7. Distances are computed once
    more from the pair that was found: the BLAS form |x|^2 - 2xy + |y|^2 cancels where patches nearly agree.
    """

    def __init__(self, bank: Patches, *, threads: int | None = None) -> None:
        faiss.cvar.distance_compute_blas_threshold = 1
        self._bank = np.ascontiguousarray(bank)
        self._index = faiss.IndexFlatL2(bank.shape[1])
        self._index.add(self._bank)
        self._threads = threads or available_cores()

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        parts = np.array_split(np.ascontiguousarray(queries), self._threads)
        row = np.concatenate(list(_workers(self._threads).map(self._rows, parts)))
        if (row < 0).any():  # NumPy would take -1 for the last patch
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return Nearest(np.linalg.norm(queries - self._bank[row], axis=1), row)

    def _rows(self, queries: np.ndarray) -> np.ndarray:
        if not len(queries):
            return np.empty(0, np.int64)
        return np.asarray(self._index.search(queries, 1)[1][:, 0], np.int64)


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """Shared by all banks of the process: a thousand views need no thousand pools of idle threads."""
    return ThreadPoolExecutor(threads, "flat-search", initializer=faiss.omp_set_num_threads, initargs=(1,))
