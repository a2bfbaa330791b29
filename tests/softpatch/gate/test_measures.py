"""What the gate measures, on banks of one patch whose scores are plain distances."""

from __future__ import annotations

import numpy as np
import pytest

from softpatch.calibration.detection import PlantResult, detection_curve
from softpatch.gate.measures import ExaminedWindow, gate_measures
from softpatch.gate.prior_scores import PriorBank, PriorScores, prior_scores
from softpatch.scoring.search import FlatSearch
from tests.softpatch.gate.banks import buffer_of, embedded, toy_bank

FRAMES = 10
NAMES = [f"f{number}" for number in range(FRAMES)]
NONE_KNOWN = np.zeros(FRAMES, np.bool_)
LOW = np.full(FRAMES, 0.5)


def scored(failing: dict[int, float], *, threshold: float = 1.0, version: str = "a" * 64, **of: object) -> PriorScores:
    """Ten frames of which these have one patch so far away from the bank."""
    frames = embedded(FRAMES)
    for number, distance in failing.items():
        frames[number, 1, 2] = (distance, 0, 0)
    prior = PriorBank(toy_bank(scores=LOW, **of), version, threshold)  # type: ignore[arg-type]
    return prior_scores(prior, buffer_of(frames), FlatSearch)


def test_failing_frames_with_their_worst_patches() -> None:
    """Which fail, by how much, and where; the frame's own embedding at that place."""
    prior = scored({3: 2.0, 7: 1.5})
    assert prior.fails.nonzero()[0].tolist() == [3, 7]
    np.testing.assert_allclose(prior.ratios[[3, 7]], [2.0, 1.5], rtol=1e-6)
    assert prior.patch_frame.tolist() == [3, 7]
    assert prior.patch_position.tolist() == [[1, 2], [1, 2]]
    np.testing.assert_allclose(prior.patch_vectors, [[2, 0, 0], [1.5, 0, 0]])


def test_the_threshold_in_force_decides_not_the_banks_own() -> None:
    """A person may have set another one."""
    assert scored({3: 2.0, 7: 1.5}, threshold=1.8).fails.nonzero()[0].tolist() == [3]


def test_shares_of_the_window_by_the_bank_in_force_and_a_reference() -> None:
    """Three of ten fail by the one in force, five by the reference; the clearest are the examples."""
    window = ExaminedWindow(
        NAMES,
        FRAMES,
        NONE_KNOWN,
        by_active=scored({1: 1.1, 2: 3.0, 3: 2.0}),
        by_reference=scored(dict.fromkeys(range(5), 2.0), version="b" * 64),
    )
    measures = gate_measures(toy_bank(scores=LOW), window)
    assert (measures.line_changed, measures.anchored_drift) == (0.3, 0.5)
    assert (measures.active, measures.reference) == ("a" * 64, "b" * 64)
    assert measures.failing == ["f1", "f2", "f3"]
    assert measures.examples["line_changed"] == ["f2", "f3", "f1"]


def test_frames_of_a_known_group_are_no_change_of_the_line() -> None:
    """A defect that is known to repeat fails as it should."""
    known = np.isin(np.arange(FRAMES), (1, 2))
    window = ExaminedWindow(NAMES, FRAMES, known, by_active=scored({1: 2.0, 2: 2.0, 3: 2.0}))
    assert gate_measures(toy_bank(scores=LOW), window).line_changed == pytest.approx(1 / 8)


def test_churn_counts_both_directions_over_what_was_learnt() -> None:
    """f1 failed and passes now, f5 passed and fails now; f2 fails by both, f3 is not learnt."""
    scores = LOW.copy()
    scores[[2, 5]] = 2.0
    candidate = toy_bank(scores=scores, excluded=np.isin(np.arange(FRAMES), (3,)))
    window = ExaminedWindow(NAMES, FRAMES, NONE_KNOWN, by_active=scored({1: 2.0, 2: 2.0, 3: 2.0}))
    measures = gate_measures(candidate, window)
    assert measures.verdict_churn == pytest.approx(2 / 9)
    assert sorted(measures.examples["verdict_churn"]) == ["f1", "f5"]


def test_what_a_person_called_good_is_neither_churn_nor_drift() -> None:
    """A yes to a variant of more than a fifth of the window was refused: its frames passed now, and failed until then.

    The line may have changed all the same: that is asked before anything is learnt.
    """
    failing = scored(dict.fromkeys((1, 2, 3), 2.0))
    good = np.isin(np.arange(FRAMES), (1, 2))
    window = ExaminedWindow(NAMES, FRAMES, NONE_KNOWN, by_active=failing, by_reference=failing, called_good=good)
    measures = gate_measures(toy_bank(scores=LOW), window)
    assert measures.verdict_churn == measures.anchored_drift == pytest.approx(1 / 8)
    assert measures.examples["anchored_drift"] == measures.examples["verdict_churn"] == ["f3"]
    assert measures.line_changed == pytest.approx(3 / 10)


def test_thresholds_compare_by_the_same_input_alone() -> None:
    """Distances of other features are other distances; shares of the threshold compare always."""
    same = ExaminedWindow(NAMES, FRAMES, NONE_KNOWN, by_active=scored({}, threshold=0.8))
    other = ExaminedWindow(NAMES, FRAMES, NONE_KNOWN, by_active=scored({}, features="wide"))
    candidate = toy_bank(scores=LOW * 2, threshold=1.6)
    assert gate_measures(candidate, same).threshold_ratio == pytest.approx(2.0)
    assert gate_measures(candidate, other).threshold_ratio is None
    assert gate_measures(candidate, other).score_shift == pytest.approx(1.0 / 1.6 - 0.5)


def test_coverage_counts_broken_frames_and_those_left_out() -> None:
    """Two frames could not be read, three are of groups: 7 of 12 were learnt."""
    candidate = toy_bank(scores=LOW, excluded=np.arange(FRAMES) < 3)
    measures = gate_measures(candidate, ExaminedWindow(NAMES, 12, NONE_KNOWN))
    assert measures.coverage == pytest.approx(7 / 12)
    assert measures.line_changed is measures.verdict_churn is measures.anchored_drift is None


def test_what_is_found_of_planted_defects_beside_the_bank_in_force() -> None:
    """Nine of ten before, six of ten now."""

    def curve(found: int) -> object:
        results = [PlantResult("pit", 5.0 + number, number >= 10 - found) for number in range(10)]
        return detection_curve(results, seed=0)

    window = ExaminedWindow(NAMES, FRAMES, NONE_KNOWN, by_active=scored({}, detection=curve(9)))
    candidate = toy_bank(scores=LOW, detection=curve(6), noise_estimate=0.25, wrong=("w-1",))  # type: ignore[arg-type]
    measures = gate_measures(candidate, window)
    assert measures.detection_drop == pytest.approx(0.3)
    assert (measures.noise_estimate, measures.golden_wrong) == (0.25, ["w-1"])
