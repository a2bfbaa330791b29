"""Patches of a window that are exceptionally near to those of a frame, place by place."""

from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.rejection import LEAST_SIGMA, NORMAL_QUARTILE
from softpatch.discriminators.expected_nearest import NEIGHBOURHOOD

NEAR_SIGMAS = 3.0
"""How far below the median the log distance to a patch must lie, in sigmas of the upper half, which no frame with the
same defect moves."""


def near_patches(
    own: Float32[np.ndarray, "p q k"],
    window: Iterable[Float32[np.ndarray, "m p q k"]],
    places: Int64[np.ndarray, "cells 2"],
) -> Iterator[tuple[tuple[slice, slice], Bool[np.ndarray, "frames r c"]]]:
    """Per place the positions around it, and which patches of the window's frames there are near to the frame's own."""
    places_around = [around(row, column, NEIGHBOURHOOD) for row, column in places.tolist()]
    parts = [
        [_distances(frames[:, *at], own[*place]) for at, place in zip(places_around, places, strict=True)]
        for frames in window
    ]
    for at, of_place in zip(places_around, zip(*parts, strict=True), strict=True):
        yield at, _exceptional(np.concatenate(of_place))


def around(row: int, column: int, cells: int) -> tuple[slice, slice]:
    """The grid positions at most so many rows and columns away."""
    rows = slice(max(0, row - cells), row + cells + 1)
    return rows, slice(max(0, column - cells), column + cells + 1)


def distances_to_each(
    patches: Float32[np.ndarray, "*axes d"], others: Float32[np.ndarray, "j d"]
) -> Float32[np.ndarray, "*axes j"]:
    """From every patch to each of the others."""
    squares = np.square(patches).sum(axis=-1)[..., None] + np.square(others).sum(axis=1) - 2 * (patches @ others.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0)))


def _distances(patches: Float32[np.ndarray, "m r c k"], own: Float32[np.ndarray, "k"]) -> Float32[np.ndarray, "m r c"]:
    return np.asarray(np.linalg.norm(patches - own, axis=-1))


def _exceptional(distance: Float32[np.ndarray, "frames r c"]) -> Bool[np.ndarray, "frames r c"]:
    """Patches nearer than chance puts any, by the frames' own nearest."""
    return np.asarray(distance < near_limits(distance.reshape(len(distance), -1).min(axis=1)[:, None]))


def near_limits(nearest: Float32[np.ndarray, "frames k"]) -> Float32[np.ndarray, "k"]:
    """For each of k patches the distance below which chance puts no frame, by the distances of frames to it."""
    logs = np.log(np.maximum(nearest, np.finfo(np.float32).tiny))
    median, quartile = np.quantile(logs, [0.5, 0.75], axis=0)
    sigma = np.maximum((quartile - median) / NORMAL_QUARTILE, LEAST_SIGMA)
    return np.asarray(np.exp(median - NEAR_SIGMAS * sigma), np.float32)
