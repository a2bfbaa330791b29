"""How far a view is from what its bank learnt, over time: the figures of the drift page's charts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from monitoring.drift.reference import GRAY_LEVELS
from monitoring.record.queries import DecisionFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.bank_state import BankState
    from ingest.decision import Decision
    from monitoring.console.context import Console
    from softpatch.bank import Bank

BUCKETS = 240
SKETCHED = 400
"""Latest pictured decisions whose sketch is compared with the bank's."""
FACTS = ("brightness", "contrast", "sharpness")
USUAL = 0.99
"""This share of the calibration frames lies within the drawn limit."""


def drift_data(console: Console, name: str, state: BankState | None, *, seconds: int) -> dict[str, Any]:
    """Means over time, the calibration's medians, and the distances of sketches. Raises DatabaseError."""
    now = console.clock()
    since = now - timedelta(seconds=seconds)
    buckets = console.reader.buckets(name, since=since, until=now + timedelta(minutes=1), seconds=seconds // BUCKETS)
    data: dict[str, Any] = {
        "at": [each.at.timestamp() for each in buckets],
        "ratio": [each.ratio_mean for each in buckets],
        "ratio_max": [each.ratio_max for each in buckets],
        **{fact: [getattr(each, fact) for each in buckets] for fact in FACTS},
        "calibration": {},
        "sketch": {"at": [], "distance": [], "limit": None},
    }
    active = None if state is None else state.active
    bank = None if active is None else console.banks.get(name, active.version)
    if bank is None or active is None:
        return data
    pictured = console.reader.decisions(name, DecisionFilter(since=since), most=SKETCHED, pictured=True)
    facts = bank.calibration_statistics[:, : len(FACTS)] * np.array([GRAY_LEVELS, GRAY_LEVELS, 1.0])
    data["calibration"] = {
        "ratio": float(np.median(bank.calibration_scores)) / active.threshold,
        **{fact: float(np.median(facts[:, place])) for place, fact in enumerate(FACTS)},
    }
    data["sketch"] = sketch_distances(bank, [each.decision for each in reversed(pictured)])
    return data


def sketch_distances(bank: Bank, decisions: Sequence[Decision]) -> dict[str, Any]:
    """How far each frame's sketch is from the middle of the calibration's, in the usual distance of its own frames."""
    sketches = bank.calibration_sketches.astype(np.float64)
    centre = sketches.mean(axis=0)
    own = np.linalg.norm(sketches - centre, axis=1)
    usual = float(np.median(own)) or 1.0
    seen = [each for each in decisions if each.sketch is not None]
    return {
        "at": [each.decided_at.timestamp() for each in seen],
        "distance": [float(np.linalg.norm(np.array(each.sketch) - centre)) / usual for each in seen],
        "limit": float(np.quantile(own, USUAL)) / usual,
    }
