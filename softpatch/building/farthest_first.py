"""Farthest-first traversal (Gonzalez 1985), by far fewer distances than it is defined by, with the same picks.

The patches of every point are kept in a list, and a new point looks through a list only where one of its patches may
be nearer to the new point than to its own. By the triangle inequality it can be only if the new point lies within
twice the patch's distance of its own point (Elkan 2003). A bound from below, by the directions of the largest spread,
settles most questions before a distance is computed.
"""

from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numba import njit

_AXES, _SAMPLED_PATCHES, _PATCHES_AT_ONCE = 32, 4096, 8192
"""Directions of the bound, the patches of the sample that they are taken from, and those brought to them at once."""

_WHOLE, _QUARTER = np.float32(0.9996), np.float32(0.2499)
"""Of a squared distance, and of half of it, squared: less a margin for what float32 rounds of a difference."""

_ROUNDING = np.float32(1e-5)
"""Of the largest squared length along the axes: more than float32 rounds before a difference is taken."""


class _Lists(NamedTuple):
    """The patches of every point: the first one, after each the next, and the farthest with its squared distance."""

    head: Int32[np.ndarray, "points"]
    following: Int32[np.ndarray, "n"]
    farthest: Int32[np.ndarray, "points"]
    radius: Float32[np.ndarray, "points"]


def farthest_first(
    patches: Float32[np.ndarray, "n d"],
    points: Float32[np.ndarray, "size d"],
    given: int,
    squared: Float32[np.ndarray, "n"],
    nearest: Int32[np.ndarray, "n"],
) -> Int64[np.ndarray, "picks"]:
    """Rows of the patches picked, which fill `points` from the given ones on: always the farthest, ties to the lowest.

    `squared` and `nearest` of all patches, their squared distance to the points and the place of the nearest one, are
    kept up to date. It stops early once every patch equals a point.
    """
    sample = patches[:: -(-len(patches) // _SAMPLED_PATCHES)].astype(np.float64)
    centre = sample.mean(axis=0)
    spread = (sample - centre).T @ (sample - centre)
    axes = np.linalg.eigh(spread)[1][:, ::-1][:, :_AXES].astype(np.float32)
    along = _along(patches, centre.astype(np.float32), axes)
    points_along = np.empty((len(points), axes.shape[1]), np.float32)
    points_along[:given] = _along(points[:given], centre.astype(np.float32), axes)
    slack = _ROUNDING * np.square(along).sum(axis=1).max(initial=0)
    return np.asarray(_extended(patches, points, given, squared, nearest, along, points_along, slack))


def _along(
    vectors: Float32[np.ndarray, "n d"], centre: Float32[np.ndarray, "d"], axes: Float32[np.ndarray, "d axes"]
) -> Float32[np.ndarray, "n axes"]:
    """Coordinates along the axes, some vectors at once: those of a long window fill memory once, not twice."""
    out = np.empty((len(vectors), axes.shape[1]), np.float32)
    for start in range(0, len(vectors), _PATCHES_AT_ONCE):
        rows = slice(start, start + _PATCHES_AT_ONCE)
        np.matmul(vectors[rows] - centre, axes, out=out[rows])
    return out


@njit(cache=True, nogil=True)
@no_type_check
def _extended(patches, points, given, squared, nearest, along, points_along, slack):  # noqa: ANN001, ANN202, PLR0917 - numba infers them
    size = points.shape[0]
    picks = np.empty(size - given, np.int64)
    lists = _lists(squared, nearest, size)
    radius, farthest = lists.radius, lists.farthest
    for place in range(given, size):
        outermost = _outermost(radius, farthest, place)
        if radius[outermost] == 0:
            return picks[: place - given]
        pick = farthest[outermost]
        picks[place - given], points[place], points_along[place] = pick, patches[pick], along[pick]
        for other in range(place):
            if radius[other] > _QUARTER * (squared_distance(points_along[other], points_along[place]) - slack):
                bound = _QUARTER * squared_distance(points[other], points[place])
                if radius[other] > bound:
                    _move(patches, along, squared, nearest, lists, pick, other, place, bound, slack)
    return picks


@njit(cache=True, nogil=True)
@no_type_check
def _lists(squared, nearest, size):  # noqa: ANN001, ANN202 - numba infers them
    count = squared.shape[0]
    head, following = np.full(size, -1, np.int32), np.empty(count, np.int32)
    farthest, radius = np.full(size, count, np.int32), np.full(size, -1, np.float32)
    for row in range(count - 1, -1, -1):
        own = nearest[row]
        following[row], head[own] = head[own], row
        if squared[row] >= radius[own]:
            radius[own], farthest[own] = squared[row], row
    return _Lists(head, following, farthest, radius)


@njit(cache=True, nogil=True)
@no_type_check
def _outermost(radius, farthest, count):  # noqa: ANN001, ANN202 - numba infers them
    """The point with the patch that is farthest from all points; of equally far ones with the lowest."""
    best = 0
    for place in range(1, count):
        if radius[place] > radius[best] or (radius[place] == radius[best] and farthest[place] < farthest[best]):
            best = place
    return best


@njit(cache=True, nogil=True)
@no_type_check
def _move(patches, along, squared, nearest, lists, pick, other, place, bound, slack):  # noqa: ANN001, ANN202, PLR0917 - numba infers them
    """From another point's list to that of the new point what is nearer to it."""
    head, following, farthest, radius = lists
    row, last = head[other], -1
    head[other] = -1
    radius[other], farthest[other] = -1, len(patches)
    while row >= 0:
        after, into = following[row], other
        if squared[row] > bound and squared[row] > _WHOLE * (squared_distance(along[row], along[pick]) - slack):
            candidate = squared_distance(patches[row], patches[pick])
            if candidate < squared[row]:
                squared[row], nearest[row], into = candidate, place, place
        if into == place:
            following[row], head[place] = head[place], row
        else:
            following[row] = -1
            if last < 0:
                head[other] = row
            else:
                following[last] = row
            last = row
        own = squared[row]
        if own > radius[into] or (own == radius[into] and row < farthest[into]):
            radius[into], farthest[into] = own, row
        row = after


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
@no_type_check
def squared_distance(a, b):  # noqa: ANN001, ANN201 - numba infers them
    """Of two points."""
    total = np.float32(0)
    for i in range(a.shape[0]):
        difference = a[i] - b[i]
        total += difference * difference
    return total


@njit(cache=True, nogil=True)
@no_type_check
def squared_distances(patches, point):  # noqa: ANN001, ANN201 - numba infers them
    """Of every patch to a point."""
    out = np.empty(patches.shape[0], np.float32)
    for row in range(patches.shape[0]):
        out[row] = squared_distance(patches[row], point)
    return out
