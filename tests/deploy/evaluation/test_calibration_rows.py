"""Folds, rows and the table of asked against observed false rejects."""

import numpy as np
import pytest

from deploy.evaluation.results.calibration_rows import CalibrationKey, Fold, calibration_report, folds_of, rows_of

KEY: CalibrationKey = ("made", "plates", "lite0", "shuffled", 0.1, 0)


def test_every_good_frame_is_held_out_once_and_never_in_the_window_that_holds_it_out() -> None:
    """Twenty-five good frames in three folds."""
    folds = folds_of(25, 40, noise=0.2, folds=3, seed=1)
    assert sorted(place for fold in folds for place in fold.held_good) == list(range(25))
    for fold in folds:
        good_in_window = {place for place in fold.window if place < 25}
        assert good_in_window == set(range(25)) - set(fold.held_good)


def test_noise_is_injected_defective_frames_over_good_ones_and_they_are_not_tested() -> None:
    """A fifth of the window's good frames, as many more; the rest of the defective frames are tested."""
    for fold in folds_of(25, 40, noise=0.2, folds=3, seed=1):
        injected = {place - 25 for place in fold.window if place >= 25}
        assert len(injected) == round(0.2 * (len(fold.window) - len(injected)))
        assert injected | set(fold.held_defective) == set(range(40))
        assert not injected & set(fold.held_defective)


def test_too_few_defective_frames_are_said() -> None:
    """Nine of ten needed."""
    with pytest.raises(ValueError, match=r"noise 0\.9 needs .* defective frames, there are 3"):
        folds_of(30, 3, noise=0.9, folds=3, seed=0)


def folds(seed: int) -> list[Fold]:
    """Two folds whose windows and good frames follow one law."""
    rng = np.random.default_rng(seed)
    scores = [np.exp(rng.gumbel(3, 0.05, size)).astype(np.float32) for size in (200, 100, 200, 100)]
    defective = np.array([1, 1000], np.float32)
    return [Fold(scores[0], scores[1], defective), Fold(scores[2], scores[3], defective)]


def test_a_row_counts_every_held_out_frame_once() -> None:
    """Observed against a count of its own; of two defects one is plain and one below every threshold."""
    made = folds(0)
    low, high = rows_of(made, KEY, asked=(0.4, 0.01))
    for row in (low, high):
        rejected = row.observed_false_reject_ratio * row.good_frames
        assert row.good_frames == 200
        assert rejected == pytest.approx(round(rejected))
        assert row.recall == 0.5
        assert row.interval_low <= row.asked_false_reject_ratio <= row.interval_high
    assert low.observed_false_reject_ratio > high.observed_false_reject_ratio
    assert low.threshold < high.threshold
    assert low.key == high.key == KEY


def test_the_table_shows_the_median_over_seeds_and_how_far_they_lie() -> None:
    """Three seeds of one experiment, with ratios that are known."""
    (row,) = rows_of(folds(0), KEY, asked=(0.05,))
    changes = {"interval_low": 0.02, "interval_high": 0.08, "recall": None, "noise_estimate": 0.1}
    rows = [
        row.model_copy(update={**changes, "seed": seed, "observed_false_reject_ratio": observed})
        for seed, observed in enumerate((0.03, 0.06, 0.09))
    ]
    last = calibration_report(rows).splitlines()[-1]
    assert last == (
        "| plates | 200 | 0.1 | 5 % | 6.0 % (3.0 % to 9.0 %) | 2.0 % to 8.0 % | 2 of 3 |  | "
        "10.0 % (10.0 % to 10.0 %) | 3 |"
    )
