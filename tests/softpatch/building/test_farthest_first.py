"""Farthest-first traversal by lists and bounds picks what the definition picks."""

from __future__ import annotations

import numpy as np
import pytest

from softpatch.building.farthest_first import farthest_first


def by_definition(patches: np.ndarray, points: np.ndarray, size: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Every distance to every point, in float64."""
    exact, chosen = patches.astype(np.float64), list(points.astype(np.float64))
    squared = np.array([[np.square(row - point).sum() for point in chosen] for row in exact])
    picks: list[int] = []
    while len(chosen) < size:
        farthest = int(squared.min(axis=1).argmax())
        picks.append(farthest)
        chosen.append(exact[farthest])
        squared = np.column_stack([squared, np.square(exact - exact[farthest]).sum(axis=1)])
    return picks, squared.argmin(axis=1), squared.min(axis=1)


@pytest.mark.parametrize("dimension", [3, 48])
@pytest.mark.parametrize("centre", [0.0, 300.0])
@pytest.mark.parametrize("given", [1, 4])
def test_picks_distances_and_nearest_points_are_those_of_the_definition(
    dimension: int, centre: float, given: int
) -> None:
    """In clusters, near the origin and far from it, with more and with fewer dimensions than the bound looks along."""
    rng = np.random.default_rng(dimension)
    clusters = rng.normal(centre, 4, (12, dimension)) * np.linspace(2, 0.2, dimension)
    patches = (clusters[rng.integers(0, 12, 400)] + rng.normal(0, 0.7, (400, dimension))).astype(np.float32)
    points = np.empty((60, dimension), np.float32)
    points[:given] = patches[:given]
    apart = np.square(patches[:, None] - points[None, :given]).sum(axis=-1)
    squared, nearest = apart.min(axis=1), apart.argmin(axis=1).astype(np.int32)
    picks = farthest_first(patches, points, given, squared, nearest)
    expected, places, distances = by_definition(patches, points[:given], len(points))
    assert picks.tolist() == expected
    np.testing.assert_array_equal(nearest, places)
    np.testing.assert_allclose(squared, distances, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(points[given:], patches[expected])


def test_of_equally_far_patches_the_lowest_is_picked() -> None:
    """Within a list, and of two lists."""
    patches = np.array([[0], [4], [-4], [4], [2], [-2], [6], [-6]], np.float32)
    points = np.zeros((6, 1), np.float32)
    nearest = np.zeros(8, np.int32)
    picks = farthest_first(patches, points, 1, np.square(patches[:, 0]), nearest)
    assert picks.tolist() == [6, 7, 1, 2, 4]
    assert nearest.tolist() == [0, 3, 4, 3, 5, 0, 1, 2]


@pytest.mark.parametrize("noise", [0.0, 6e-8, 2e-7, 1e-6])
def test_what_differs_by_rounding_is_picked_once(noise: float) -> None:
    """Copies to the last bit: the same picture embedded in another batch. No patch is picked twice."""
    rng = np.random.default_rng(1)
    once = rng.normal(0, 1, (100, 64)) + 3
    patches = (np.repeat(once, 6, axis=0) * (1 + noise * rng.normal(size=(600, 64)))).astype(np.float32)
    points = np.empty((500, 64), np.float32)
    points[0] = patches[0]
    squared = np.square(patches - points[0]).sum(axis=1)
    picks = farthest_first(patches, points, 1, squared, np.zeros(600, np.int32))
    assert len(set(picks.tolist())) == len(picks)
    assert len(set((picks[:99] // 6).tolist())) == 99
    assert len(picks) == (99 if noise == 0 else 499)
