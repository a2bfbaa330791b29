"""How far frames stand out at one place once frames like them are left out of the window."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.discriminators.expected_nearest import NEIGHBOURHOOD, expected_nearest


@dataclass(frozen=True)
class LeftOutSuspicion:
    """Expected-nearest at one position: of each member without the others, of each other frame without as many."""

    members: Float32[np.ndarray, "g"]
    others: Float32[np.ndarray, "o"]


def left_out_suspicion(
    projected: Float32[np.ndarray, "n p q d"], members: Bool[np.ndarray, "n"], row: int, column: int
) -> LeftOutSuspicion:
    """Of the members as if no other member were in the window, of the others as if their nearest were not.

    Of every other frame as many are left out as there are members. Where a window consists of many such groups (six
    finishes, nine angles), each of them is alone without its like, and none is of the few.
    """
    of_members = _squared_distances(projected, members, ~members, row, column)
    of_others = _squared_distances(projected, ~members, np.ones_like(members), row, column)
    of_others[np.arange(len(of_others)), np.flatnonzero(~members)] = 0
    return LeftOutSuspicion(
        members=expected_nearest(of_members, leave_out=0),
        others=expected_nearest(of_others, leave_out=int(members.sum())),
    )


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
