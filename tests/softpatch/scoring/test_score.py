"""Scores are Eq. 7 and 8, and ours beyond them; the map is the reference's; a frame that fails always shows where."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from softpatch.scoring.score import Region, Scorer, anomaly_map, regions
from softpatch.scoring.search import BruteSearch
from softpatch.settings import ScoringRule

PAPER = ScoringRule()


@dataclass(frozen=True)
class TinyBank:
    """The attributes that a scorer reads, and the vectors."""

    vectors: np.ndarray
    soft_weights: np.ndarray
    source_frame: np.ndarray
    trusted_patches: int
    scoring: ScoringRule = PAPER
    confirmed: np.ndarray | None = None
    ignored: np.ndarray | None = None
    negative_vectors: np.ndarray | None = None
    second_frame_within: np.ndarray | None = None
    metric: np.ndarray | None = None
    position_weights: np.ndarray | None = None


def on_a_line(*places: float, frames: list[int], untrusted: int = 0, scoring: ScoringRule = PAPER) -> TinyBank:
    """A bank of one-dimensional patches of weight 1; the last ones are untrusted."""
    count = len(places)
    vectors = np.array(places, np.float32)[:, None]
    return TinyBank(vectors, np.ones(count, np.float32), np.array(frames, np.int32), count - untrusted, scoring)


def scores_of(bank: TinyBank, *queries: float) -> list[float]:
    """Patch scores of a frame of one row."""
    embedding = np.array(queries, np.float32)[None, None, :, None]
    return Scorer(bank, BruteSearch(bank.vectors)).score(embedding)[0].patch_scores[0].tolist()


def test_a_patch_score_is_the_nearest_patchs_weight_times_its_distance() -> None:
    """Three bank patches on a line; every value by hand."""
    weights = np.array([1, 2, 0.5], np.float32)
    bank = TinyBank(np.array([[0], [10], [20]], np.float32), weights, np.zeros(3, np.int32), 3)
    embeddings = np.array([[[[1], [9]], [[20], [26]]], [[[4], [0]], [[10], [14]]]], np.float32)
    first, second = Scorer(bank, BruteSearch(bank.vectors)).score(embeddings)
    np.testing.assert_allclose(first.patch_scores, [[1, 2], [0, 3]])
    np.testing.assert_array_equal(first.nearest_row, [[0, 1], [2, 2]])
    assert (first.score, first.worst_position) == (3, (1, 1))
    assert (second.score, second.worst_position) == (8, (1, 1))


def test_what_one_frame_alone_shows_scores_by_its_second_frame_neighbour() -> None:
    """A patch of frame 0 scores by the distance to frame 1, less half of that to frame 0; others by the nearest."""
    bank = on_a_line(0, 10, 10.5, 60, frames=[0, 0, 1, 0], scoring=ScoringRule(second_frame_ratio=0.5))
    assert scores_of(bank, 10, 12, 60, 59) == pytest.approx([0.5, 1.5, 49.5, 48])


def test_a_second_frame_that_the_bank_does_not_hold_is_as_near_as_the_window_showed() -> None:
    """The window held another frame's patch at 1 of the first patch, and none is known of the second and third."""
    bank = on_a_line(0, 10, 30, frames=[0, 1, 1], scoring=ScoringRule(second_frame_ratio=0.5))
    within = replace(bank, second_frame_within=np.array([1, np.inf, np.inf], np.float32))
    assert scores_of(bank, 0, 2, 10, 31) == pytest.approx([10, 7, 10, 30.5])
    assert scores_of(within, 0, 2, 10, 31) == pytest.approx([1, 2, 10, 30.5])


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(-50, 50, width=32), st.integers(0, 3)), min_size=2, max_size=12),
    st.floats(-60, 60, width=32),
    st.floats(0.05, 1),
)
def test_a_score_lies_between_the_distances_to_two_frames(
    patches: list[tuple[float, int]], query: float, second_frame_ratio: float
) -> None:
    """At least the second's over 2 - ratio, at most the larger: it never exceeds a distance."""
    places, frames = zip(*patches, strict=True)
    bank = on_a_line(*places, frames=list(frames), scoring=ScoringRule(second_frame_ratio=second_frame_ratio))
    nearest = {frame: min(abs(p - query) for p, f in patches if f == frame) for frame in set(frames)}
    (score,), distances = scores_of(bank, query), sorted(nearest.values())
    second = distances[1] if len(distances) > 1 else distances[0]
    assert second / (2 - second_frame_ratio) - 1e-3 <= score <= second + 1e-3


def test_a_bank_of_one_frame_scores_by_the_nearest_patch() -> None:
    """There is no second frame."""
    assert scores_of(on_a_line(0, 10, frames=[4, 4], scoring=ScoringRule(second_frame_ratio=1.0)), 11) == [1]


def test_an_untrusted_patch_lowers_a_score_by_a_share_of_its_own_distance() -> None:
    """Trusted patches at 0, untrusted ones at 10 and 19: at 10 the score is 10, near it less; at 4 it is 4."""
    bank = on_a_line(0, 10, 19, frames=[0, 1, 2], untrusted=2, scoring=ScoringRule(untrusted_ratio=0.9))
    assert scores_of(bank, 10, 20, 4, 10.5) == pytest.approx([10, 19.9, 4, 10.45])


def test_an_untrusted_patch_never_raises_a_score() -> None:
    """Nor is it ever reported as the nearest patch."""
    bank = on_a_line(0, 10, frames=[0, 1], untrusted=1, scoring=ScoringRule(untrusted_ratio=0.9))
    found = Scorer(bank, BruteSearch(bank.vectors)).score(np.array([[[[1], [9.5]]]], np.float32))[0]
    assert found.patch_scores[0, 0] == 1
    np.testing.assert_array_equal(found.nearest_row, [[0, 0]])


def test_blur_is_scipys_gaussian_and_the_score_is_its_maximum() -> None:
    """Over the grid of patches; a lone patch counts less than two side by side."""
    rng = np.random.default_rng(0)
    bank = TinyBank(
        np.zeros((1, 1), np.float32), np.ones(1, np.float32), np.zeros(1, np.int32), 1, ScoringRule(blur_cells=0.8)
    )
    embedding = rng.random((1, 12, 16, 1), dtype=np.float32)
    found = Scorer(bank, BruteSearch(bank.vectors)).score(embedding)[0]
    expected = ndimage.gaussian_filter(embedding[0, ..., 0], 0.8, mode="reflect", radius=3)
    np.testing.assert_allclose(found.patch_scores, expected, atol=1e-5)
    assert found.score == found.patch_scores.max()


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


def test_a_confirmed_patch_needs_no_second_frame() -> None:
    """A person called its frame good: the distance to it counts, however far every other frame is."""
    scoring = ScoringRule(second_frame_ratio=1.0)
    bank = on_a_line(0, 10, frames=[0, 1], scoring=scoring)
    frame = np.full((1, 1, 1, 1), 1, np.float32)
    (alone,) = Scorer(bank, BruteSearch(bank.vectors)).score(frame)
    confirmed = replace(bank, confirmed=np.array([True, False]))
    (by_word,) = Scorer(confirmed, BruteSearch(bank.vectors)).score(frame)
    assert alone.score == pytest.approx(9)
    assert by_word.score == pytest.approx(1)


@pytest.mark.parametrize("blur_cells", [0.0, 0.8])
def test_an_ignored_position_never_scores(blur_cells: float) -> None:
    """Neither by itself nor, through the blur, at its neighbours."""
    scoring = ScoringRule(blur_cells=blur_cells)
    ignored = np.zeros((5, 5), np.bool_)
    ignored[2, 2] = True
    bank = replace(on_a_line(0, frames=[0], scoring=scoring), ignored=ignored)
    frame = np.zeros((1, 5, 5, 1), np.float32)
    frame[0, 2, 2] = 100
    frame[0, 0, 0] = 1
    (found,) = Scorer(bank, BruteSearch(bank.vectors)).score(frame)
    assert found.patch_scores[2, 2] == 0
    assert found.worst_position == (0, 0)


def test_a_patch_nearer_to_a_named_defect_than_to_the_bank_scores_more() -> None:
    """The defect itself: three times its distance; a quarter as far from it as from the bank: twice; half: no more."""
    bank = replace(on_a_line(0, frames=[0]), negative_vectors=np.array([[6]], np.float32))
    frames = np.array([6, 4.8, 4, 2], np.float32).reshape(4, 1, 1, 1)
    found = [each.score for each in Scorer(bank, BruteSearch(bank.vectors)).score(frames)]
    assert found == pytest.approx([3 * 6, 2 * 4.8, 4, 2])


def test_positions_count_by_their_weights_after_the_blur() -> None:
    """The frame's score is where the weighed average is highest."""
    bank = replace(on_a_line(0, frames=[0]), position_weights=np.array([[1, 0.5, 2]], np.float32))
    assert scores_of(bank, 3, 8, 1) == [3, 4, 2]
    blurred = replace(bank, scoring=ScoringRule(blur_cells=0.8))
    plain = replace(blurred, position_weights=None)
    assert scores_of(blurred, 3, 8, 1) == pytest.approx(np.multiply(scores_of(plain, 3, 8, 1), [1, 0.5, 2]))


def test_patches_are_compared_in_the_banks_metric() -> None:
    """Twice as far, to the bank and to a named defect; the bank's own patches are in it already."""
    bank = replace(on_a_line(0, 10, frames=[0, 1]), metric=np.array([[2]], np.float32))
    assert scores_of(bank, 4, 5, 6) == [2, 0, 2]
    named = replace(bank, negative_vectors=np.array([[20]], np.float32))
    assert scores_of(named, 10) == [3 * 10]


def test_a_patch_that_the_bank_holds_scores_nothing_however_far_a_named_defect_is() -> None:
    """Its distance of 0 overflowed, with a warning, where it was compared with that to the defect."""
    bank = replace(on_a_line(0, 10, frames=[0, 1]), negative_vectors=np.array([[60]], np.float32))
    assert scores_of(bank, 0, 10) == [0, 0]
