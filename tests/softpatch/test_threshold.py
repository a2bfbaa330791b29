"""The threshold rule on scores whose law is known."""

import numpy as np
import pytest
from scipy.stats import genextreme

from softpatch.bank import Threshold
from softpatch.threshold import RULE, SHAPE, fit, frames_needed, suggest, why_uncertain


def good(frames: int, seed: int) -> np.ndarray:
    """Scores of good frames: a maximum over many patches, in log."""
    return np.exp(genextreme(-0.05, loc=3, scale=0.06).rvs(size=frames, random_state=seed)).astype(np.float32)


def test_the_fit_is_the_law_the_scores_were_drawn_from() -> None:
    """Against SciPy's distribution (its shape has the other sign): a quantile of a large sample."""
    law = genextreme(-SHAPE, loc=2, scale=0.1)
    fitted = fit(law.rvs(size=200_000, random_state=0))
    assert fitted.quantile(0.98) == pytest.approx(law.ppf(0.98), abs=0.01)
    assert fitted.noise == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1, 0.2])
def test_asked_and_observed_ratios_agree_whatever_defects_there_are(noise: float) -> None:
    """Asked 5 %, observed on fresh good frames 2.5 to 10 %, median of seven windows of 400 frames."""
    observed = []
    for seed in range(7):
        scores = good(400, seed)
        defects = np.random.default_rng(100 + seed).random(400) < noise
        scores[defects] *= 1.5
        threshold = suggest(scores, false_reject_ratio=0.05, seed=0).threshold.value
        observed.append(float((good(20_000, 1000 + seed) > threshold).mean()))
    assert 0.025 <= float(np.median(observed)) <= 0.1


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_noise_estimate_is_near_the_truth(noise: float) -> None:
    """Of plain defects, to within four points, median of seven windows."""
    estimates = []
    for seed in range(7):
        scores = good(400, seed)
        scores[: round(400 * noise)] *= 1.6
        estimates.append(suggest(scores, false_reject_ratio=0.02, seed=0).noise_estimate)
    assert float(np.median(estimates)) == pytest.approx(noise, abs=0.04)


def test_a_suggestion_is_seeded_and_its_interval_holds_its_value() -> None:
    """The same scores and seed give the same interval; the rule is said."""
    scores = good(100, 0)
    once = suggest(scores, false_reject_ratio=0.02, seed=1)
    assert once == suggest(scores, false_reject_ratio=0.02, seed=1)
    assert once != suggest(scores, false_reject_ratio=0.02, seed=2)
    assert once.threshold.interval_low <= once.threshold.value <= once.threshold.interval_high
    assert once.threshold.rule == RULE


def test_a_longer_window_narrows_the_interval() -> None:
    """Twenty-five times the frames, at most half the width."""
    widths = []
    for frames in (100, 2500):
        threshold = suggest(good(frames, 3), false_reject_ratio=0.02, seed=0).threshold
        widths.append(threshold.interval_high - threshold.interval_low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize("score", [0.0, 7.0])
def test_equal_scores_give_a_positive_threshold_at_them(score: float) -> None:
    """A stopped line scores the same all the time, perhaps zero."""
    threshold = suggest(np.full(30, score, np.float32), false_reject_ratio=0.02, seed=0).threshold
    assert threshold.value == pytest.approx(score, abs=1e-6)
    assert threshold.value > 0


def threshold_between(low: float, high: float) -> Threshold:
    """One with this interval."""
    return Threshold(value=(low * high) ** 0.5, interval_low=low, interval_high=high, false_reject_ratio=0.02, rule="")


def test_four_times_the_frames_halve_the_log_of_the_width() -> None:
    """1.44 = 1.2 squared: 30 frames must become 120."""
    assert frames_needed(threshold_between(1.0, 1.44), frames=30, interval_ratio_limit=1.2) in (90, 91)


def test_a_narrow_interval_needs_no_more_frames_and_no_reason() -> None:
    """At the limit is narrow enough."""
    narrow = threshold_between(1.0, 1.25)
    assert frames_needed(narrow, frames=30, interval_ratio_limit=1.25) == 0
    assert why_uncertain(narrow, frames=30, interval_ratio_limit=1.25) is None


def test_a_wide_interval_says_why_and_how_many_frames_it_needs() -> None:
    """The whole sentence."""
    assert why_uncertain(threshold_between(2.0, 3.0), frames=100, interval_ratio_limit=1.25) == (
        "the threshold for 0.02 false rejects lies anywhere in a range of 1.50 to 1, 1.25 to 1 is asked: "
        "about 231 more frames are needed"
    )


def test_no_interval_is_narrower_than_a_point() -> None:
    """A limit of 1 could never be met."""
    with pytest.raises(ValueError, match="must be above 1"):
        frames_needed(threshold_between(1, 2), frames=30, interval_ratio_limit=1.0)
