"""Rows and the table of asked against observed false rejects."""

import numpy as np
import pytest

from deploy.evaluation.results.calibration_rows import CalibrationKey, FoldScores, calibration_report, rows_of

KEY: CalibrationKey = ("drawn", "plates", "lite0", "shuffled", 0.1, 0)


def folds(seed: int) -> list[FoldScores]:
    """Two folds whose windows and good frames follow one distribution."""
    rng = np.random.default_rng(seed)
    scores = [np.exp(rng.gumbel(3, 0.05, size)).astype(np.float32) for size in (200, 100, 200, 100)]
    defective = np.array([1, 1000], np.float32)
    return [FoldScores(scores[0], scores[1], defective, 200), FoldScores(scores[2], scores[3], defective, 200)]


@pytest.mark.slow
def test_a_row_counts_every_held_out_frame_once() -> None:
    """Observed against a count of its own; of two defects one is plain and one below every threshold."""
    two_folds = folds(0)
    low, high = rows_of(two_folds, KEY, asked=(0.4, 0.01))
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
