"""The paired bootstrap: the difference it states, and that its interval is worth its name."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deploy.evaluation.results.bootstrap import Paired, PairedDifference, difference
from deploy.evaluation.results.metrics import OneClassOnly


def pair(rng: np.random.Generator, *, first: float, second: float, seeds: int = 2) -> Paired:
    """60 defective and 60 good frames; defective ones are shifted by `first` and `second` standard deviations."""
    defective = np.arange(120) < 60
    common = rng.normal(size=(seeds, 120))
    return Paired(
        first=common + rng.normal(size=(seeds, 120)) + first * defective,
        second=common + rng.normal(size=(seeds, 120)) + second * defective,
        tested=np.ones((seeds, 120), bool),
        defective=defective,
    )


def test_the_mean_is_the_difference_of_scikit_learns_aurocs() -> None:
    """Over two categories of two seeds, one of which leaves frames out."""
    rng = np.random.default_rng(0)
    categories = [pair(rng, first=1, second=0.5), pair(rng, first=0.5, second=1)]
    categories[1].tested[0, :20] = False
    expected = np.mean(
        [
            roc_auc_score(each.defective[t], a[t]) - roc_auc_score(each.defective[t], b[t])
            for each in categories
            for a, b, t in zip(each.first, each.second, each.tested, strict=True)
        ]
    )
    found = difference(categories, resamples=200, seed=1)
    assert found.mean == pytest.approx(expected)
    assert found.low < found.mean < found.high
    assert found == difference(categories, resamples=200, seed=1)


def test_equal_scores_differ_by_nothing() -> None:
    """A method against itself: zero, and certain of it."""
    one = pair(np.random.default_rng(2), first=1, second=1)
    same = Paired(first=one.first, second=one.first, tested=one.tested, defective=one.defective)
    assert difference([same], resamples=50, seed=0) == PairedDifference(0.0, 0.0, 0.0)


@pytest.mark.slow
def test_the_interval_holds_zero_about_nine_times_in_ten_when_nothing_differs() -> None:
    """100 draws of two equally good methods: a 90 % interval misses 2 to 22 of them (binomial, 99.9 %)."""
    rng = np.random.default_rng(3)
    drawn = [difference([pair(rng, first=1, second=1, seeds=1)], resamples=300, seed=i) for i in range(100)]
    assert 2 <= sum(not d.low <= 0 <= d.high for d in drawn) <= 22


def test_a_seed_without_good_frames_is_refused() -> None:
    """AUROC needs both kinds in every test set."""
    one = pair(np.random.default_rng(4), first=1, second=1)
    one.tested[1, 60:] = False
    with pytest.raises(OneClassOnly):
        difference([one], resamples=10, seed=0)
