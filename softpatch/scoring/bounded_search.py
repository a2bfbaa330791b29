"""The exact search on the CPU where patches have many dimensions: a bound in few of them, then what is left in full.

In coordinates along k orthonormal axes and the length r of a vector's residual, |x - y|^2 is at least
|x_k - y_k|^2 + (r_x - r_y)^2, by the triangle inequality. A patch whose bound is above the true distance to any other
patch is not the nearest. The axes are about the first principal ones of the bank: its patches differ most along these.
"""

from functools import cached_property

import numpy as np

from softpatch.scoring.search import FlatSearch, Vectors, _workers

LEAST_DIMENSIONS = 512
"""With 384 (ResNet-18) and a third of them compared, looking through the bounds cost what they saved."""

AXES = (31, 63, 127)
"""Numbers of axes to try: the first that leaves little is taken."""

LITTLE = 0.0025
"""Of the bank, that the bound may leave to compare in full. A pair in full costs about 85 times as much as one in a
product of matrices, so that this costs a fifth of the whole product."""

_TOO_MUCH = 4 * LITTLE
"""Left of the bank for some frame's queries: these are compared with all of it, which then costs less."""

_PAIRS_AT_ONCE = 4096
"""Of a query and a patch, compared in full: 16 MB with 1,024 dimensions."""

_SAMPLED_ROWS = 64
_ROUNDING = np.float32(1e-5)
"""Of the squared lengths that a bound is computed from: more than float32 errs by."""


def cpu_search(bank: Vectors, *, threads: int | None = None) -> FlatSearch:
    """The faster exact search of this bank on the CPU, decided by its own patches: the same bank, the same search."""
    if bank.shape[1] >= LEAST_DIMENSIONS and len(bank) > AXES[-1] and np.isfinite(bank).all():
        for axes in AXES:
            search = BoundedSearch(bank, axes=axes, threads=threads)
            if search.left_ratio() <= LITTLE:
                return search
    return FlatSearch(bank, threads=threads)


class BoundedSearch(FlatSearch):
    """A bound on every distance in `axes` + 1 dimensions; what may be nearest by it is compared in full."""

    def __init__(self, bank: Vectors, *, axes: int, threads: int | None = None) -> None:
        super().__init__(bank, threads=threads)
        self._axes = min(axes, *bank.shape)

    def part(self, rows: slice) -> FlatSearch:
        """See Search."""
        return cpu_search(self._bank[rows], threads=self._threads)

    def left_ratio(self) -> float:
        """The share of the bank that is compared in full for one of its own patches, the mean over some of them."""
        _workers(self._threads)  # from here on BLAS has one thread
        rows = np.unique(np.linspace(0, len(self._bank) - 1, _SAMPLED_ROWS).round().astype(np.int64))
        with np.errstate(over="ignore", invalid="ignore"):
            bounds, square = self._bounds(self._bank[rows])
            bounds[np.arange(len(rows)), rows] = np.inf  # each of itself
            limits = self._limits(self._distance(self._bank[rows], bounds.argmin(axis=1)), square)
        return float((bounds <= limits[:, None]).mean()) if np.isfinite(limits).all() else 1.0

    @cached_property
    def _mean(self) -> np.ndarray:
        return np.asarray(self._bank.mean(axis=0))

    @cached_property
    def _basis(self) -> np.ndarray:
        """Orthonormal columns, from two steps of the power method on random ones."""
        centred = self._bank - self._mean
        basis = np.random.default_rng(0).standard_normal((centred.shape[1], self._axes), np.float32)
        for _ in range(2):
            basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
        return basis

    @cached_property
    def _bank_projected(self) -> np.ndarray:
        return np.ascontiguousarray(self._projected(self._bank - self._mean).T)

    @cached_property
    def _bank_half_squares(self) -> np.ndarray:
        return np.asarray(np.square(self._bank_projected).sum(axis=0) / 2)

    def _projected(self, centred: np.ndarray) -> np.ndarray:
        """Coordinates along the axes, and the length of the residual."""
        along = centred @ self._basis
        residual = np.linalg.norm(centred - along @ self._basis.T, axis=1, keepdims=True)
        return np.concatenate([along, residual], axis=1)

    def _bounds(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half of each squared bound less half of the query's own square, and that square."""
        projected = self._projected(queries - self._mean)
        product = projected @ self._bank_projected
        bounds = np.subtract(self._bank_half_squares, product, out=product)
        return bounds, np.square(projected).sum(axis=1)

    def _limits(self, distance: np.ndarray, square: np.ndarray) -> np.ndarray:
        """The bounds of patches at that distance, and a little above."""
        rounding = _ROUNDING * (square + 2 * self._bank_half_squares.max())
        return np.asarray((np.square(distance) - square) / 2 + rounding)

    def _left(self, bounds: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Queries, each as often as patches are left for it, and the patches; None where that is too many."""
        left = bounds <= limits[:, None]
        if not np.isfinite(limits).all() or left.sum() > max(_TOO_MUCH * left.size, 2 * len(left)):
            return None
        query, row = np.nonzero(left)
        return query, row

    def _pair_distances(self, queries: np.ndarray, query: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Of each pair of a query's number and a patch's row."""
        parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, max(1, len(row)), _PAIRS_AT_ONCE)]
        return np.concatenate([self._distance(queries[query[part]], row[part]) for part in parts])

    def _nearest_rows(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):  # the distances tell
            bounds, square = self._bounds(queries)
            left = self._left(bounds, self._limits(self._distance(queries, bounds.argmin(axis=1)), square))
        if left is None:
            return super()._nearest_rows(queries)
        query, row = left
        distance = self._pair_distances(queries, query, row)
        nearest = _least(distance, query)
        return row[nearest], distance[nearest]

    def _rows_of_two_frames(self, queries: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if (frames == frames[0]).all():
            row, distance = self._nearest_rows(queries)
            return row, distance, distance
        with np.errstate(over="ignore", invalid="ignore"):
            bounds, square = self._bounds(queries)
            first = bounds.argmin(axis=1)
            other = np.where(frames == frames[first][:, None], np.float32(np.inf), bounds).argmin(axis=1)
            farther = np.maximum(self._distance(queries, first), self._distance(queries, other))
            left = self._left(bounds, self._limits(farther, square))
        if left is None:
            return super()._rows_of_two_frames(queries, frames)
        query, row = left
        distance = self._pair_distances(queries, query, row)
        nearest = _least(distance, query)
        of_other_frame = frames[row] != frames[row[nearest]][query]
        second = _least(np.where(of_other_frame, distance, np.float32(np.inf)), query)
        return row[nearest], distance[nearest], distance[second]


def _least(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The place of the smallest value of each group; groups are numbered from 0 on, one after the other, none empty."""
    order = np.lexsort((values, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]
