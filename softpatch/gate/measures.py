"""What the gate knows of a new bank: figures of it beside the bank in force and a reference, with frames to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32
from pydantic import BaseModel, ConfigDict, Field

from softpatch.bank import Bank
from softpatch.gate.prior_scores import PriorScores
from softpatch.manifest import Manifest

MOST_EXAMPLES = 8
"""Frames that are named for a measure."""


class GateMeasures(BaseModel):
    """One candidate. A measure is None where there is nothing to compare with.

    `failing` are the names of the window's frames that the bank in force fails; `examples` give, by measure, those that
    show it most clearly.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    frames: int = Field(ge=0)
    active: str | None = None
    reference: str | None = None
    line_changed: float | None = None
    anchored_drift: float | None = None
    verdict_churn: float | None = None
    threshold_ratio: float | None = None
    score_shift: float | None = None
    noise_estimate: float
    coverage: float
    detection_drop: float | None = None
    golden_wrong: list[str] = Field(default_factory=list)
    quarantined_frames: int = 0
    failing: list[str] = Field(default_factory=list)
    examples: dict[str, list[str]] = Field(default_factory=dict)


@dataclass(frozen=True)
class ExaminedWindow:
    """What the window's own frames, without labelled ones behind, scored by the banks before; names in their order.

    `known_groups`: which frames belong to groups that were known before this build and are not learnt. `called_good`:
    which a person called good; None: none.
    """

    names: Sequence[str]
    given: int
    """Frames of the window before broken ones were left out."""
    known_groups: Bool[np.ndarray, "n"]
    by_active: PriorScores | None = None
    by_reference: PriorScores | None = None
    called_good: Bool[np.ndarray, "n"] | None = None
    quarantined: int = 0


def gate_measures(candidate: Bank, window: ExaminedWindow) -> GateMeasures:
    """Every measure of a candidate built from this window.

    What a person called good is no drift, and no churn: after a yes to a variant of a fifth of the parts, a fifth of
    the window is decided otherwise, and fails by the reference.
    """
    frames = len(window.names)
    learnt = ~_excluded(candidate)
    unasked = learnt if window.called_good is None else learnt & ~window.called_good
    measures: dict[str, object] = {
        "frames": frames,
        "noise_estimate": candidate.manifest.noise_estimate,
        "coverage": float(learnt.sum() / max(window.given, 1)),
        "golden_wrong": candidate.manifest.golden.wrong,
        "quarantined_frames": window.quarantined,
    }
    examples: dict[str, list[str]] = {}
    if window.by_active is not None:
        fails, ratios = window.by_active.fails[:frames], window.by_active.ratios[:frames]
        asked = ~window.known_groups
        candidate_fails = candidate.calibration_scores > candidate.manifest.threshold.value
        changed = (candidate_fails != fails) & unasked
        measures |= {
            "active": window.by_active.prior.version,
            "line_changed": _share(fails, asked),
            "verdict_churn": _share(changed, unasked),
            "failing": [window.names[row] for row in np.flatnonzero(fails).tolist()],
            **_beside(candidate, window.by_active),
        }
        examples["line_changed"] = _named(window.names, fails & asked, ratios)
        examples["verdict_churn"] = _named(window.names, changed, np.abs(np.log(np.maximum(ratios, 1e-6))))
    if window.by_reference is not None:
        fails = window.by_reference.fails[:frames]
        measures |= {"reference": window.by_reference.prior.version, "anchored_drift": _share(fails, unasked)}
        examples["anchored_drift"] = _named(window.names, fails & unasked, window.by_reference.ratios[:frames])
    return GateMeasures.model_validate(
        {**measures, "examples": {name: some for name, some in examples.items() if some}}
    )


def _excluded(candidate: Bank) -> Bool[np.ndarray, "n"]:
    if candidate.calibration_excluded is None:
        return np.zeros(len(candidate.calibration_scores), np.bool_)
    return candidate.calibration_excluded


def _share(which: Bool[np.ndarray, "n"], of: Bool[np.ndarray, "n"]) -> float | None:
    return float((which & of).sum() / of.sum()) if of.any() else None


def _named(names: Sequence[str], which: Bool[np.ndarray, "n"], clearness: Float32[np.ndarray, "n"]) -> list[str]:
    rows = np.flatnonzero(which)
    clearest = rows[np.argsort(-clearness[rows], kind="stable")][:MOST_EXAMPLES]
    return [names[row] for row in clearest.tolist()]


def _beside(candidate: Bank, active: PriorScores) -> dict[str, float]:
    """The candidate's own figures beside those of the bank in force; distances compare by the same input alone."""
    before, now = active.prior.bank, candidate
    measures = {"score_shift": _median_ratio(now) - _median_ratio(before)}
    if _same_input(before.manifest, now.manifest):
        measures["threshold_ratio"] = now.manifest.threshold.value / active.prior.threshold
    found = [_found_ratio(each.manifest) for each in (before, now)]
    if found[0] is not None and found[1] is not None:
        measures["detection_drop"] = found[0] - found[1]
    return measures


def _median_ratio(bank: Bank) -> float:
    return float(np.median(bank.calibration_scores[~_excluded(bank)]) / bank.manifest.threshold.value)


def _found_ratio(manifest: Manifest) -> float | None:
    return None if manifest.detection is None else manifest.detection.found / manifest.detection.planted


def _same_input(one: Manifest, other: Manifest) -> bool:
    return (one.geometry, one.features) == (other.geometry, other.features)
