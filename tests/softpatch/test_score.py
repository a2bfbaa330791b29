"""Scores are Eq. 7 and 8; the map is the reference's; a frame that fails always shows where."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from softpatch.score import Region, Scorer, anomaly_map, regions
from softpatch.search import BruteSearch


@dataclass(frozen=True)
class TinyBank:
    """The least that a scorer needs."""

    vectors: np.ndarray
    soft_weights: np.ndarray


def test_a_patch_score_is_the_nearest_patchs_weight_times_its_distance() -> None:
    """Three bank patches on a line; every value by hand."""
    bank = TinyBank(np.array([[0], [10], [20]], np.float32), np.array([1, 2, 0.5], np.float32))
    embeddings = np.array([[[[1], [9]], [[20], [26]]], [[[4], [0]], [[10], [14]]]], np.float32)
    first, second = Scorer(bank, BruteSearch(bank.vectors)).score(embeddings)
    np.testing.assert_allclose(first.patch_scores, [[1, 2], [0, 3]])
    np.testing.assert_array_equal(first.nearest_row, [[0, 1], [2, 2]])
    assert (first.score, first.worst_position) == (3, (1, 1))
    assert (second.score, second.worst_position) == (8, (1, 1))


def test_upsampling_is_bilinear_and_smoothing_is_scipys_gaussian() -> None:
    """At input size equal to the grid only the Gaussian is left: SciPy's, sigma 4, cut at 4 sigma, reflecting."""
    scores = np.random.default_rng(0).random((64, 96), dtype=np.float32)
    expected = ndimage.gaussian_filter(scores, 4, mode="reflect", truncate=4)
    np.testing.assert_allclose(anomaly_map(scores, height_px=64, width_px=96), expected, atol=1e-5)


def test_the_map_peaks_over_the_patch() -> None:
    """The patch at row 2, column 5 of a stride-8 grid is centred at y 20, x 44."""
    scores = np.zeros((8, 12), np.float32)
    scores[2, 5] = 1
    y, x = np.unravel_index(anomaly_map(scores, height_px=64, width_px=96).argmax(), (64, 96))
    assert abs(y - 19.5) <= 1
    assert abs(x - 43.5) <= 1


@given(st.integers(0, 1000), st.floats(0.01, 0.999))
def test_a_frame_has_a_region_exactly_if_it_fails(seed: int, threshold: float) -> None:
    """And the first region's peak is the frame's score: no failing frame without a box, no passing frame with one."""
    rng = np.random.default_rng(seed)
    scores = (rng.random((8, 8), dtype=np.float32) ** 8).astype(np.float32)
    found = regions(scores, anomaly_map(scores, height_px=64, width_px=64), threshold)
    assert bool(found) == bool(scores.max() > threshold)
    if found:
        assert found[0].peak == scores.max()


def test_a_single_failing_patch_is_boxed_by_its_cell() -> None:
    """Smoothing takes its peak below the threshold; the cell itself remains."""
    scores = np.zeros((8, 8), np.float32)
    scores[3, 4] = 1
    assert regions(scores, anomaly_map(scores, height_px=64, width_px=64), 0.9) == [Region((32, 24, 40, 32), 1.0)]


def test_regions_are_separate_parts_the_worst_first() -> None:
    """Two marks far apart, one bank of neighbours joined across a corner."""
    scores = np.zeros((28, 28), np.float32)
    scores[2, 2] = scores[3, 3] = 2
    scores[20, 20] = 5
    found = regions(scores, anomaly_map(scores, height_px=224, width_px=224), 1.9)
    assert [region.peak for region in found] == [5, 2]
    assert found[1] == Region((16, 16, 32, 32), 2.0)
    assert found[0].box_xyxy[0] <= 160
    assert found[0].box_xyxy[2] >= 168


@pytest.mark.parametrize("sides", [(224, 224), (96, 160)])
def test_the_map_has_the_inputs_size_and_never_exceeds_the_score(sides: tuple[int, int]) -> None:
    """Averages only."""
    height, width = sides
    scores = np.random.default_rng(1).random((height // 8, width // 8), dtype=np.float32)
    smoothed = anomaly_map(scores, height_px=height, width_px=width)
    assert smoothed.shape == sides
    assert smoothed.max() <= scores.max()
