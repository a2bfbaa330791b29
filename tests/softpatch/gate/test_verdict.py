"""Every bound of the gate: kept at its limit, broken beyond it, silent where it is switched off or not measured."""

from __future__ import annotations

import pytest

from softpatch.gate.measures import GateMeasures
from softpatch.gate.settings import GateSettings
from softpatch.gate.verdict import BOUNDS, judged

FINE = GateMeasures(frames=100, noise_estimate=0.0, coverage=1.0)
SETTINGS = GateSettings(
    line_changed=0.5,
    anchored_drift=0.5,
    verdict_churn=0.2,
    threshold_ratio=1.5,
    score_shift=0.2,
    noise_estimate=0.3,
    coverage=0.5,
    detection_drop=0.2,
    golden_wrong=0,
)


@pytest.mark.parametrize(
    ("bound", "kept", "broken", "sentence"),
    [
        ("line_changed", 0.49, 0.5, "50 % of the window fail by the bank in force, at 50 % the line has changed"),
        (
            "anchored_drift",
            0.5,
            0.51,
            (
                "51 % of what it learnt fail by the pinned reference bank, 50 % may: where the line is as it should "
                "be, patchline pin makes the bank in force the reference"
            ),
        ),
        (
            "verdict_churn",
            0.2,
            0.25,
            "25 % of what it learnt are decided otherwise than until now, 20 % may",
        ),
        (
            "threshold_ratio",
            1.5,
            1.6,
            "its threshold is 1.60 times the one in force, 1.50 times more or less it may be",
        ),
        (
            "threshold_ratio",
            0.7,
            0.6,
            "its threshold is 0.60 times the one in force, 1.50 times more or less it may be",
        ),
        ("score_shift", 0.2, 0.3, "the median of score over threshold moved by +0.30, 0.20 it may"),
        ("score_shift", -0.2, -0.3, "the median of score over threshold moved by -0.30, 0.20 it may"),
        ("noise_estimate", 0.3, 0.4, "40 % of the window are defective by its estimate, 30 % may be"),
        ("coverage", 0.5, 0.4, "it learnt from 40 % of the window, at least 50 % it must"),
        (
            "detection_drop",
            0.2,
            0.3,
            "of 100 planted defects it finds 30 fewer than the bank in force, 20 it may",
        ),
        ("golden_wrong", [], ["f-1", "f-2"], "2 words of people are not followed, 0 may be left: f-1, f-2"),
    ],
)
def test_a_bound_is_kept_up_to_its_limit_and_broken_beyond(
    bound: str, kept: object, broken: object, sentence: str
) -> None:
    """The refusal says which, by how much, and shows its frames."""
    examples = {bound: ["0-7", "0-9"]}
    assert judged(FINE.model_copy(update={bound: kept}), SETTINGS).passed
    verdict = judged(FINE.model_copy(update={bound: broken, "examples": examples}), SETTINGS)
    assert not verdict.passed
    (breach,) = verdict.breaches
    assert (breach.bound, breach.sentence, breach.examples) == (bound, sentence, ("0-7", "0-9"))
    assert verdict.sentence == sentence
    assert verdict.line_changed is (bound == "line_changed")
    off = SETTINGS.model_copy(update={bound: None})
    assert judged(FINE.model_copy(update={bound: broken}), off).passed


def test_what_was_not_measured_breaks_nothing() -> None:
    """A first bank has nothing to be compared with."""
    assert judged(FINE, SETTINGS).passed
    assert judged(FINE, SETTINGS).sentence == "it keeps every bound of the gate"


def test_every_bound_that_is_broken_is_named_the_gravest_first() -> None:
    """A person sees all that is wrong at once."""
    broken = FINE.model_copy(update={"coverage": 0.1, "line_changed": 0.9, "verdict_churn": 0.5})
    assert [each.bound for each in judged(broken, SETTINGS).breaches] == ["line_changed", "verdict_churn", "coverage"]


def test_every_bound_is_a_setting_and_a_measure() -> None:
    """None can be forgotten in one of the two."""
    assert set(BOUNDS) <= GateSettings.model_fields.keys() & GateMeasures.model_fields.keys()
