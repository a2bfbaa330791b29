"""Drift on real screws: quiet while nothing changes, and each change by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from inference import scoring
from monitoring.drift import reference
from monitoring.drift.detector import Baseline, DriftState
from monitoring.drift.diagnosis import DriftVerdict
from tests.monitoring.drift.screws import DEFECTS, Screws, blur, drawn, gain, screws, smaller
from tests.monitoring.drift.synthetic_streams import followed

if TYPE_CHECKING:
    from pathlib import Path

VERDICTS = {
    "gain 0.8": DriftVerdict.DARKER,
    "gain 1.2": DriftVerdict.BRIGHTER,
    "blur": DriftVerdict.OUT_OF_FOCUS,
    "smaller": DriftVerdict.PRODUCT_CHANGED,
}


@pytest.fixture(scope="module")
def real(test_data: Path) -> Screws:
    """A bank of 60 screws and decisions on 30 more."""
    changes = [("gain 0.8", gain(0.8)), ("gain 1.2", gain(1.2)), ("blur", blur(4)), ("smaller", smaller)]
    folder = test_data / "mvtec_ad/screw"
    return screws(folder, np.random.default_rng(0), window=60, held_out=30, changes=changes)


@pytest.mark.images
def test_undisturbed_screws_raise_no_alarm_in_2000_decisions(real: Screws) -> None:
    """Frames drawn anew from 30 held-out ones, 2 % defects among them."""
    rng = np.random.default_rng(1)
    baseline = Baseline.of(real.reference)
    stream = (drawn(rng, real.clean, real.defective, DEFECTS) for _ in range(2000))
    assert followed(DriftState.start(baseline), stream, baseline).episode is None


@pytest.mark.images
@pytest.mark.parametrize("change", VERDICTS)
def test_a_change_of_real_screws_is_named_within_100_frames(real: Screws, change: str) -> None:
    """A window of 60 frames allows more than one of 400, and it is still enough."""
    rng = np.random.default_rng(2)
    baseline = Baseline.of(real.reference)
    before = (drawn(rng, real.clean, real.defective, DEFECTS) for _ in range(200))
    state = followed(DriftState.start(baseline), before, baseline)
    after = (drawn(rng, real.changed[change], real.defective, DEFECTS) for _ in range(100))
    episode = followed(state, after, baseline).episode
    assert episode is not None
    assert episode.noticed > 200
    assert episode.verdict is VERDICTS[change]


def test_decisions_and_references_count_in_the_same_gray_levels() -> None:
    """Nothing else keeps the two apart packages together: a wrong unit would be drift from the first frame."""
    assert scoring.GRAY_LEVELS == reference.GRAY_LEVELS
