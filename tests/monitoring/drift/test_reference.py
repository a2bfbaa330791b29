"""What a bank and a decision give to compare."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingest.decision import Decision, LineChange, Reason, Verdict
from monitoring.drift.observation import MEASURED, NotMeasured, observation_of
from monitoring.drift.reference import TooFewCalibrationFrames, novelty, reference_of, reference_of_bank
from softpatch.bank import STATISTICS, Bank, bank_from_bytes
from softpatch.manifest import GroupRecord
from tests.monitoring.drift.synthetic_streams import THRESHOLD, window

GOLDEN = Path(__file__).parents[2]


def golden_bank() -> Bank:
    """A bank of the first format."""
    return bank_from_bytes(next((GOLDEN / "softpatch/golden").rglob("*.safetensors")).read_bytes())


def with_groups(bank: Bank, members: dict[str, list[str]]) -> Bank:
    """The bank, with a group of these frames of its window for each label."""
    groups = [
        GroupRecord(
            id=f"g{number}",
            label=label,  # type: ignore[arg-type]  # checked by the model
            is_new=False,
            frames=len(names),
            share=0.1,
            box_xyxy=(0, 0, 1, 1),
            whole_frame=True,
            examples=names[:8],
            members=names,
        )
        for number, (label, names) in enumerate(members.items())
    ]
    return replace(bank, manifest=bank.manifest.model_copy(update={"groups": groups}))


def test_the_banks_statistics_come_in_a_decisions_units() -> None:
    """Banks keep brightness and contrast from 0 to 1, decisions in gray levels."""
    bank = golden_bank()
    reference = reference_of_bank(bank, threshold=bank.manifest.threshold.value)
    assert MEASURED[1:] == STATISTICS
    assert reference.values[:, 1] == pytest.approx(bank.calibration_statistics[:, 0] * 255)
    assert reference.values[:, 2] == pytest.approx(bank.calibration_statistics[:, 1] * 255)
    assert reference.values[:, 3] == pytest.approx(bank.calibration_statistics[:, 2])


def test_frames_without_a_part_are_no_reference() -> None:
    """Decisions on such frames are not followed either; frames of every other group are what the line looks like."""
    bank = golden_bank()
    names = bank.manifest.frame_names
    grouped = with_groups(bank, {"no_part": [names[2], names[5]], "open": [names[3]], "defect": [names[4]]})
    kept = [row for row in range(len(names)) if row not in {2, 5}]
    reference = reference_of_bank(grouped, threshold=1.0)
    assert reference.values[:, 0] == pytest.approx(bank.calibration_scores[kept])
    assert reference.values[:, 3] == pytest.approx(bank.calibration_statistics[kept, 2])
    assert reference.sketches == pytest.approx(bank.calibration_sketches[kept])


def test_novelty_is_the_distance_to_the_fifth_nearest() -> None:
    """Sorted by definition; a frame of the window is compared with the others only."""
    reference = window(np.random.default_rng(0), 60)
    new = np.full(32, 0.5)
    assert novelty(new, reference) == pytest.approx(np.sort(np.linalg.norm(reference.sketches - new, axis=1))[4])
    others = np.delete(reference.sketches, 7, axis=0)
    assert reference.values[7, 6] == pytest.approx(np.sort(np.linalg.norm(others - reference.sketches[7], axis=1))[4])


def test_a_tiny_window_is_refused() -> None:
    """Nine frames say nothing about shares."""
    with pytest.raises(TooFewCalibrationFrames) as refused:
        reference_of(np.ones(9), np.ones((9, 5)), np.ones((9, 32)), threshold=THRESHOLD)
    assert str(refused.value) == (
        "drift needs a bank calibrated on 10 frames and this one has 9: raise first_build_frames"
    )


def golden_decision() -> Decision:
    """A decision of contract version 1 with all fields."""
    return Decision.model_validate_json((GOLDEN / "contract/golden/v1/decision-fail.json").read_bytes())


def test_a_decision_is_read_by_name() -> None:
    """Every quantity is the decision's own, in the order of MEASURED."""
    decision = golden_decision().model_copy(update={"duplicate_of": None})
    seen = observation_of(decision)
    assert decision.image is not None
    assert seen.values.tolist() == [
        decision.score,
        decision.image.brightness,
        decision.image.contrast,
        decision.image.sharpness,
        decision.image.dark_ratio,
        decision.image.saturated_ratio,
    ]
    assert tuple(seen.sketch) == decision.sketch
    assert seen.difference_hash == decision.difference_hash


@pytest.mark.parametrize("missing", ["score", "image", "sketch", "difference_hash"])
def test_a_decision_without_a_measurement_is_refused(missing: str) -> None:
    """A frame that was decided while learning has nothing to compare."""
    decision = golden_decision().model_copy(update={"duplicate_of": None, missing: None})
    with pytest.raises(NotMeasured) as refused:
        observation_of(decision)
    assert str(refused.value) == f"decision {decision.id} cannot be compared with a bank"


def undecided(reason: Reason, place: LineChange | None = None) -> Decision:
    """The golden decision, undecided for this reason."""
    changed = {"verdict": Verdict.UNDECIDED, "reason": reason, "line_change": place, "duplicate_of": None}
    return golden_decision().model_copy(update=changed)


def test_a_frame_without_a_part_is_not_observed() -> None:
    """It says nothing of the product, and is no reject; a frame of a changed line is as good as any."""
    with pytest.raises(NotMeasured):
        observation_of(undecided(Reason.NO_PART))
    seen = observation_of(undecided(Reason.LINE_CHANGED, LineChange.EVERYWHERE))
    assert seen.values[0] == golden_decision().score
    assert not seen.same_place


def test_where_frames_fail_together_is_read_of_the_decision() -> None:
    """Only at the same place is it the lens or the fixture."""
    assert observation_of(undecided(Reason.LINE_CHANGED, LineChange.SAME_PLACE)).same_place
