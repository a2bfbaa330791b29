"""How far frames stand out at one place once frames like them are left out of the window."""

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.discriminators.expected_nearest import NEIGHBOURHOOD, nearest_weights


def without_members(
    projected: Float32[np.ndarray, "n p q d"], members: Bool[np.ndarray, "n"], row: int, column: int
) -> Float32[np.ndarray, "g"]:
    """Expected-nearest of the members' patches at this position, as if no other member were in the window."""
    squared = _squared_distances(projected, members, ~members, row, column)
    return _expected_nearest(squared, leave_out=0)


def without_as_many(
    projected: Float32[np.ndarray, "n p q d"], members: Bool[np.ndarray, "n"], row: int, column: int
) -> Float32[np.ndarray, "o"]:
    """The same of the other frames, as if so many of their nearest as a member has were not in the window.

    Where a window consists of many such groups (six finishes, nine angles), each of them is alone without its like, and
    none is of the few.
    """
    squared = _squared_distances(projected, ~members, np.ones_like(members), row, column)
    squared[np.arange(len(squared)), np.flatnonzero(~members)] = 0
    return _expected_nearest(squared, leave_out=int(members.sum()))


def _squared_distances(
    projected: Float32[np.ndarray, "n p q d"],
    ours: Bool[np.ndarray, "n"],
    theirs: Bool[np.ndarray, "n"],
    row: int,
    column: int,
) -> Float32[np.ndarray, "a b"]:
    """From our frames' patches at this position to the nearest patch of each of their frames within one position."""
    rows = slice(max(0, row - NEIGHBOURHOOD), row + NEIGHBOURHOOD + 1)
    around = (rows, slice(max(0, column - NEIGHBOURHOOD), column + NEIGHBOURHOOD + 1))
    mine = projected[ours, row, column]
    keys = projected[theirs][:, *around].reshape(int(theirs.sum()), -1, projected.shape[-1])
    centre = mine.mean(axis=0)
    mine, keys = mine - centre, keys - centre
    products = (mine @ keys.reshape(-1, keys.shape[-1]).T).reshape(len(mine), *keys.shape[:2])
    squared = np.square(mine).sum(axis=1)[:, None, None] + np.square(keys).sum(axis=2)[None] - 2 * products
    return np.asarray(np.maximum(squared.min(axis=2), 0))


def _expected_nearest(squared: Float32[np.ndarray, "a b"], *, leave_out: int) -> Float32[np.ndarray, "a"]:
    """Expected-nearest by these squared distances, the nearest so many left out."""
    weights = nearest_weights(squared.shape[1] - leave_out)
    nearest = np.sort(squared, axis=1)[:, leave_out : leave_out + len(weights)]
    return np.asarray(np.sqrt(nearest) @ weights, np.float32)
