"""Points grouped by average linkage: two groups are one while their points lie near each other on average.

By nearest-neighbour chains (Murtagh, "A survey of recent advances in hierarchical clustering algorithms", 1983): with
average linkage two groups that are each other's nearest are joined whatever else is, so no order of distances is kept.
Time and memory grow with the square of the points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64


def groups_within(points: Float64[np.ndarray, "n d"], cut: float) -> Int64[np.ndarray, "n"]:
    """The group of each point, numbered from 0 by their first points; no two groups are nearer than `cut` on average.

    The same as scipy's `fcluster(linkage(points, "average"), cut, "distance")`, but for the numbers.
    """
    far = _distances(points)
    sizes, number = np.ones(len(points)), np.arange(len(points))
    open_, chain = np.ones(len(points), bool), list[int]()
    while open_.any():
        if not chain:
            chain.append(int(open_.argmax()))
        last = chain[-1]
        nearest = int(far[last].argmin())
        if far[last, nearest] > cut:  # joining others brings none of them nearer
            open_[last] = False
            chain.pop()
        elif len(chain) > 1 and far[last, nearest] >= far[last, chain[-2]]:
            _join(far, sizes, chain.pop(), chain.pop(), open_=open_, number=number)
        else:
            chain.append(nearest)
    return np.unique(number, return_inverse=True)[1].astype(np.int64)


def _distances(points: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "n n"]:
    """Of every two points; a point has no distance from itself."""
    far = np.stack([np.linalg.norm(points - each, axis=1) for each in points])
    np.fill_diagonal(far, np.inf)
    return far


def _join(
    far: Float64[np.ndarray, "n n"],
    sizes: Float64[np.ndarray, "n"],
    one: int,
    other: int,
    *,
    open_: np.ndarray,
    number: Int64[np.ndarray, "n"],
) -> None:
    """Both become the one whose first point comes first; its distances are means over the points of both."""
    kept, gone = min(one, other), max(one, other)
    mean = (sizes[kept] * far[kept] + sizes[gone] * far[gone]) / (sizes[kept] + sizes[gone])
    mean[kept] = np.inf
    far[kept] = far[:, kept] = mean
    far[gone] = far[:, gone] = np.inf
    sizes[kept] += sizes[gone]
    open_[gone] = False
    number[number == gone] = kept
