"""The threshold rule on scores whose distribution is known."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import genextreme, gumbel_r, norm, skewnorm

from softpatch.bank import Bank, bank_from_bytes
from softpatch.calibration.extreme_value import EDGES, bin_scores, gev_grid, noise_share, posterior
from softpatch.calibration.threshold import (
    LEAST_RATIO,
    MOST_RATIO,
    RULE,
    cheapest_ratio,
    frames_needed,
    ratio_of,
    suggest,
    threshold_of,
    why_uncertain,
)
from softpatch.manifest import Threshold

DISTRIBUTIONS = {
    "light": genextreme(0.1, scale=0.05),
    "gumbel": gumbel_r(scale=0.05),
    "heavy": genextreme(-0.1, scale=0.05),
    "normal": norm(scale=0.06),
    "skew": skewnorm(4, scale=0.1),
}
"""Of good frames' log scores; SciPy's shape has the other sign."""


def window(name: str, frames: int, noise: float, seed: int) -> np.ndarray:
    """Scores of a window: that share of frames also shows a defect, subtle or plain, of whose score it has the most."""
    rng = np.random.default_rng(seed)
    distribution = DISTRIBUTIONS[name]
    logs = distribution.rvs(size=frames, random_state=rng)
    defective = rng.random(frames) < noise
    shown = distribution.median() + rng.uniform(0, 8 * distribution.std(), frames)
    logs[defective] = np.maximum(logs, shown)[defective]
    return np.exp(3 + logs).astype(np.float32)


def threshold_value(scores: np.ndarray, ratio: float) -> float:
    """The suggested threshold without its interval, which costs most of a suggestion's time.

    `test_a_threshold_without_bagging_is_the_suggested_one` says that it is the same.
    """
    fitted = posterior(scores)
    return fitted.binned.score(fitted.limit(ratio))


def true_ratio(name: str, threshold: float) -> float:
    """The share of good frames above it, by their distribution."""
    return float(DISTRIBUTIONS[name].sf(np.log(threshold) - 3))


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1, 0.2])
def test_asked_and_observed_ratios_agree_whatever_defects_there_are(noise: float) -> None:
    """Asked 5 %; the median over five distributions and two windows of 400 frames each is 2.5 to 10 %."""
    observed = [
        true_ratio(name, threshold_value(window(name, 400, noise, seed), 0.05))
        for name in DISTRIBUTIONS
        for seed in range(2)
    ]
    assert 0.025 <= float(np.median(observed)) <= 0.1


@pytest.mark.slow
def test_the_interval_holds_the_truth_in_eight_of_ten_runs() -> None:
    """Fifty windows of 200 frames, without noise and with 10 %: the threshold's and the ratio's."""
    held = []
    for run in range(50):
        name = list(DISTRIBUTIONS)[run % len(DISTRIBUTIONS)]
        scores = window(name, 200, 0.1 * (run // 5 % 2), run)
        threshold = suggest(scores, false_reject_ratio=0.05, seed=run).threshold
        needed = float(np.exp(3 + DISTRIBUTIONS[name].ppf(0.95)))
        low, high = threshold.false_reject_low, threshold.false_reject_high
        assert low is not None
        assert high is not None
        inside = low <= true_ratio(name, threshold.value) <= high
        held.append((threshold.interval_low <= needed <= threshold.interval_high, inside))
    assert np.mean(held, axis=0) == pytest.approx([1, 1], abs=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_noise_estimate_is_near_the_truth(noise: float) -> None:
    """Of plain defects, to within four points, median of five windows."""
    estimates = []
    for seed in range(5):
        scores = window("gumbel", 400, 0, seed)
        scores[: round(400 * noise)] *= 1.6
        estimates.append(noise_share(scores))
    assert float(np.median(estimates)) == pytest.approx(noise, abs=0.04)


@pytest.mark.slow
def test_plain_defects_hardly_move_the_threshold() -> None:
    """Three windows, with and without 10 % of frames at twice the good score: within 5 % of each other."""
    for seed in range(3):
        clean = window("gumbel", 400, 0, seed)
        with_defects = np.concatenate([clean, np.full(40, 2 * np.median(clean), np.float32)])
        found = [threshold_value(scores, 0.02) for scores in (clean, with_defects)]
        assert found[1] == pytest.approx(found[0], rel=0.05)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_the_laws_are_scipys(shape: float) -> None:
    """Quantile and share beyond against `genextreme`, and each row of shares adds up to one."""
    grid = gev_grid()
    (row, *_) = np.flatnonzero(np.isclose(grid.shape, shape))
    distribution = genextreme(-shape, loc=grid.location[row], scale=grid.scale[row])
    assert grid.quantile(0.98)[row] == pytest.approx(distribution.ppf(0.98))
    assert grid.beyond(1.5)[row] == pytest.approx(distribution.sf(1.5), abs=1e-12)
    shares = np.exp(grid.log_shares)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-4)
    assert shares.shape[1] == len(EDGES) + 1


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(scale=st.floats(1e-3, 1e3), frames=st.integers(6, 200), seed=st.integers(0, 1000))
def test_scores_in_another_unit_give_the_threshold_in_that_unit(scale: float, frames: int, seed: int) -> None:
    """A factor on all scores is a factor on threshold and interval, and changes no ratio."""
    scores = window("gumbel", frames, 0.1, seed)
    once = suggest(scores, false_reject_ratio=0.02, seed=0)
    other = suggest((scores * np.float32(scale)).astype(np.float32), false_reject_ratio=0.02, seed=0)
    for name in ("value", "interval_low", "interval_high"):
        expected = scale * getattr(once.threshold, name)
        assert getattr(other.threshold, name) == pytest.approx(expected, rel=0.01)  # a score may change its bin
    assert other.noise_estimate == pytest.approx(once.noise_estimate, abs=0.01)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1e4, width=32), min_size=6, max_size=40), st.floats(0.001, 0.4))
@example([0.0, 0.0, 0.0, 30.0, 31.0, 31.0], 0.00390625)
@example([0.0] * 40, 0.02)
def test_any_scores_give_a_positive_finite_threshold_inside_its_interval(scores: list[float], asked: float) -> None:
    """Tiny windows, ties, zeros: pydantic refuses what is not finite or not positive, and the order holds."""
    threshold = suggest(np.array(scores, np.float32), false_reject_ratio=asked, seed=0).threshold
    assert threshold.interval_low <= threshold.value <= threshold.interval_high
    assert threshold.false_reject_low is not None
    assert threshold.false_reject_high is not None
    assert threshold.false_reject_low <= asked <= threshold.false_reject_high


def test_asking_for_fewer_false_rejects_gives_a_higher_threshold() -> None:
    """Of the same scores."""
    scores = window("heavy", 200, 0.1, 0)
    values = [threshold_value(scores, asked) for asked in (0.1, 0.05, 0.02, 0.01)]
    assert values == sorted(values)


def test_frames_sent_twice_change_little() -> None:
    """Every score three times over: the threshold stays within 3 %."""
    scores = window("gumbel", 100, 0, 0)
    assert threshold_value(np.repeat(scores, 3), 0.05) == pytest.approx(threshold_value(scores, 0.05), rel=0.03)


def test_the_lowest_quarter_of_scores_does_not_move_the_threshold() -> None:
    """Whatever it does below the lower quartile."""
    scores = np.sort(window("gumbel", 200, 0.1, 0))
    changed = scores.copy()
    changed[:49] *= np.linspace(0.5, 1, 49, dtype=np.float32)
    assert threshold_value(changed, 0.02) == threshold_value(scores, 0.02)


def test_a_long_window_is_as_sure_as_one_of_400_frames() -> None:
    """The same shares of 400 and of 4,000 frames have equal weight; those of 100 less."""
    counts = bin_scores(window("skew", 400, 0.1, 0)).counts()[:, None]
    quarter, whole, tenfold = (gev_grid().weights(counts * factor) for factor in (0.25, 1, 10))
    np.testing.assert_allclose(tenfold, whole, rtol=1e-3, atol=1e-9)
    assert quarter.max() < 0.9 * whole.max()


def test_a_suggestion_is_seeded_and_its_interval_holds_its_value() -> None:
    """The same scores and seed give the same interval; the rule is named."""
    scores = window("gumbel", 100, 0, 0)
    once = suggest(scores, false_reject_ratio=0.02, seed=1)
    assert once == suggest(scores, false_reject_ratio=0.02, seed=1)
    assert once != suggest(scores, false_reject_ratio=0.02, seed=2)
    assert once.threshold.rule == RULE


def test_thirty_frames_are_known_to_be_few() -> None:
    """The interval of 30 frames is at least one and a half times as wide, in logs, as that of 1,000."""
    widths = []
    for frames in (30, 1000):
        threshold = suggest(window("gumbel", frames, 0, 3), false_reject_ratio=0.02, seed=0).threshold
        widths.append(np.log(threshold.interval_high / threshold.interval_low))
    assert widths[0] > 1.5 * widths[1]


def test_where_most_scores_are_the_largest_the_threshold_is_above_it() -> None:
    """240 of 400 scores are equal, the others below: by two thousandths at least, since runtimes differ."""
    scores = np.minimum(window("gumbel", 400, 0, 0), np.float32(np.exp(3)))
    scores[:240] = np.exp(3)
    threshold = suggest(scores, false_reject_ratio=0.05, seed=0).threshold
    assert threshold.value >= 1.0019 * np.exp(3)


@pytest.mark.parametrize("asked", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("frames", [30, 400])
@pytest.mark.parametrize("score", [0.0, 7.0])
def test_equal_scores_give_a_positive_threshold_just_above_them(score: float, frames: int, asked: float) -> None:
    """A stopped line scores the same all the time, perhaps zero: at most one percent above, since runtimes differ."""
    threshold = suggest(np.full(frames, score, np.float32), false_reject_ratio=asked, seed=0).threshold
    assert threshold.value > score
    assert threshold.value == pytest.approx(score, rel=0.01, abs=1e-6)


def threshold_between(low: float, high: float) -> Threshold:
    """One with this interval."""
    return Threshold(
        value=(low * high) ** 0.5,
        interval_low=low,
        interval_high=high,
        false_reject_ratio=0.02,
        false_reject_low=0.01,
        false_reject_high=0.03,
        rule="",
    )


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


def true_cost(name: str, log_threshold: np.ndarray, *, escape: float, noise: float) -> np.ndarray:
    """Per frame of `window`, where a rejected good one costs 1: by its distribution and by how defects are drawn."""
    distribution, above = DISTRIBUTIONS[name], log_threshold - 3
    shown = np.clip((above - distribution.median()) / (8 * distribution.std()), 0, 1)
    return np.asarray((1 - noise) * distribution.sf(above) + noise * escape * distribution.cdf(above) * shown)


@pytest.mark.slow
@pytest.mark.parametrize("escape", [1.0, 10.0, 50.0])
def test_the_cheapest_ratio_costs_little_more_than_the_best_threshold_would(escape: float) -> None:
    """Windows of 1,000 with a tenth of defects; the best is searched with the true distributions."""
    above_best = []
    for name in DISTRIBUTIONS:
        scores = window(name, 1000, 0.1, seed=1)
        found = cheapest_ratio(scores, cost_reject=1.0, cost_escape=escape)
        chosen = threshold_value(scores, found.false_reject_ratio)
        best = true_cost(name, np.linspace(2.8, 4.5, 2000), escape=escape, noise=0.1).min()
        above_best.append(float(true_cost(name, np.log([chosen]), escape=escape, noise=0.1)[0] / best))
    assert np.mean(above_best) < 1.5


@pytest.mark.slow
def test_dearer_escapes_reject_more_and_only_the_ratio_of_costs_counts() -> None:
    """In euros or in cents, the same ratio; the cost is in the unit of the costs."""
    scores = window("gumbel", 400, 0.1, seed=0)
    ratios = [
        cheapest_ratio(scores, cost_reject=1.0, cost_escape=escape).false_reject_ratio
        for escape in (0.2, 2.0, 20.0, 200.0)
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < ratios[-1]
    one, cents = (cheapest_ratio(scores, cost_reject=unit, cost_escape=5 * unit) for unit in (1.0, 100.0))
    assert one.false_reject_ratio == cents.false_reject_ratio
    assert cents.cost_per_frame == pytest.approx(100 * one.cost_per_frame)


@pytest.mark.parametrize("costs", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_costs_are_above_nothing(costs: tuple[float, float]) -> None:
    """What costs nothing needs no threshold."""
    with pytest.raises(ValueError, match="must be above 0"):
        cheapest_ratio(window("gumbel", 50, 0.1, seed=0), cost_reject=costs[0], cost_escape=costs[1])


GOLDEN = Path(__file__).parents[1] / "golden" / "bank-v1.safetensors"


@cache
def calibrated(name: str) -> Bank:
    """A bank whose calibration are the scores of a window of 400 frames with a tenth of defects."""
    scores = window(name, 400, 0.1, seed=3)
    return replace(
        bank_from_bytes(GOLDEN.read_bytes()),
        calibration_scores=scores,
        calibration_excluded=None,
        calibration_statistics=np.zeros((len(scores), 5), np.float32),
        calibration_sketches=np.zeros((len(scores), 32), np.float32),
    )


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("ratio", [0.0005, 0.004, 0.02, 0.1, 0.4])
def test_a_threshold_means_the_ratio_that_gives_it(name: str, ratio: float) -> None:
    """There and back: also for the ratio that the bank was built for, whose own threshold is taken."""
    bank = calibrated(name)
    assert ratio_of(bank, threshold_of(bank, ratio)) == pytest.approx(ratio, rel=1e-3)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_threshold_without_bagging_is_the_suggested_one(name: str) -> None:
    """The intervals cost most of a suggestion's time, and neither threshold nor noise estimate depends on them."""
    bank = calibrated(name)
    suggested = suggest(bank.threshold_scores, false_reject_ratio=0.07, seed=5)
    assert threshold_of(bank, 0.07) == threshold_value(bank.threshold_scores, 0.07) == suggested.threshold.value
    assert noise_share(bank.threshold_scores) == suggested.noise_estimate


@pytest.mark.parametrize(("threshold", "expected"), [(1e9, LEAST_RATIO), (1e-9, MOST_RATIO)])
def test_a_threshold_beyond_all_scores_means_a_ratio_that_can_be_asked_for(threshold: float, expected: float) -> None:
    """A ratio of 0 or of a half would be refused by the next build."""
    assert ratio_of(calibrated("gumbel"), threshold) == pytest.approx(expected, rel=1e-6)


def test_what_no_distribution_explains_is_told_frame_by_frame() -> None:
    """Plain outliers are nearly certain, the bulk is not doubted, and together they are the estimated share."""
    rng = np.random.default_rng(0)
    good = np.exp(0.1 * rng.gumbel(size=360))
    scores = np.concatenate([good, np.exp(rng.uniform(0.8, 1.2, 40))]).astype(np.float32)
    fitted = posterior(scores)
    probability = fitted.noise_probabilities
    assert probability[360:].min() > 0.8
    assert np.median(probability[:360]) < 0.02
    assert probability.mean() == pytest.approx(fitted.noise_share, abs=0.02)
