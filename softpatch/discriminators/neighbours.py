"""Patches at one position, compared across frames: the distances every discriminator and the noise floor start from."""

from collections.abc import Callable, Iterator
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit

_CHUNK_FLOATS = 1 << 20
"""Distances held at once (4 MiB): a chunk stays in the cache, and memory does not grow with the group."""

_ROUNDING = np.float32(4e-6)
"""Squared distances below this share of the squared norms are rounding errors of the GEMM, hence zero."""


def by_position(
    embeddings: Float32[np.ndarray, "n p q d"], *, every: int = 1
) -> Iterator[tuple[slice, Float32[np.ndarray, "positions n d"]]]:
    """Chunks of grid positions in row-major order (of each `every`-th only), centred on their mean over the frames.

    Distances do not depend on the centre, but float32 does: away from the origin the GEMM loses digits.
    """
    frames, rows, columns, dimension = embeddings.shape
    flat = embeddings.reshape(frames, rows * columns, dimension)[:, ::every]
    step = max(1, _CHUNK_FLOATS // (frames * frames))
    for start in range(0, flat.shape[1], step):
        chunk = flat[:, start : start + step].swapaxes(0, 1)
        # In float64 the mean of copies is that copy, so that static positions come out as exact zeros.
        centred = chunk - chunk.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
        yield slice(start, start + len(centred)), np.ascontiguousarray(centred)


def per_position(
    embeddings: Float32[np.ndarray, "n p q d"],
    factors: Callable[[Any], Float32[np.ndarray, "positions n"]],
) -> Float32[np.ndarray, "n p q"]:
    """The factors of every patch: `factors` is applied to "positions n d" of each chunk, and the grid restored."""
    frames, rows, columns, _ = embeddings.shape
    out = np.empty((frames, rows * columns), np.float32)
    for where, patches in by_position(embeddings):
        out[:, where] = factors(patches).T
    return out.reshape(frames, rows, columns)


def nearest_others(
    patches: Float32[np.ndarray, "positions n d"], k: int
) -> tuple[Float32[np.ndarray, "positions n k"], Int32[np.ndarray, "positions n k"]]:
    """L2 distances to the k nearest OTHER frames at the same position, nearest first, and those frames.

    Where distances tie, the lowest frame comes first.
    """
    squared_norms = np.einsum("pnd,pnd->pn", patches, patches)
    products = patches @ patches.swapaxes(1, 2)
    return _nearest_others(squared_norms, products, k, _ROUNDING)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
@no_type_check
def _nearest_others(squared_norms, products, k, rounding):  # noqa: ANN001, ANN202 - numba infers them
    positions, frames = squared_norms.shape
    distance = np.empty((positions, frames, k), np.float32)
    index = np.empty((positions, frames, k), np.int32)
    for p in range(positions):
        for i in range(frames):
            best, best_index = distance[p, i], index[p, i]
            best[:] = np.inf
            best_index[:] = -1
            for j in range(frames):
                if j == i:
                    continue
                norms = squared_norms[p, i] + squared_norms[p, j]
                squared = norms - 2 * products[p, i, j]
                if squared < rounding * norms:
                    squared = np.float32(0)
                if not squared < best[k - 1]:
                    continue
                place = k - 1
                while place > 0 and squared < best[place - 1]:
                    best[place] = best[place - 1]
                    best_index[place] = best_index[place - 1]
                    place -= 1
                best[place] = squared
                best_index[place] = j
    return np.sqrt(distance), index
