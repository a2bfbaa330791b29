"""How many streams alarm: all of them frame by frame at once, since each is as long as the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.evidence import DriftEvidence

if TYPE_CHECKING:
    from monitoring.drift.bets import Bets

ALONE = 20
"""So many streams are also followed one at a time, as a view is."""


def alarmed_streams(outside: np.ndarray, bets: Bets, frames_per_false_alarm: float) -> int:
    """The streams whose evidence reaches the limit; `outside` says which frame of which stream each bet sees beyond.

    The first `ALONE` are also followed alone: what that finds must be the same.
    """
    streams = outside.shape[1]
    shape = streams, len(bets.column)
    evidence = DriftEvidence(np.zeros(shape), np.ones(shape), np.zeros(shape, np.int64))
    alarmed = np.zeros(streams, bool)
    for frame in outside:
        evidence = evidence.after(frame, bets)
        alarmed |= evidence.strength @ bets.weight >= frames_per_false_alarm
    alone = [_alarms(outside[:, stream], bets, frames_per_false_alarm) for stream in range(ALONE)]
    assert alone == alarmed[:ALONE].tolist()
    return int(alarmed.sum())


def _alarms(outside: np.ndarray, bets: Bets, frames_per_false_alarm: float) -> bool:
    evidence = DriftEvidence.none(bets)
    for frame in outside:
        evidence = evidence.after(frame, bets)
        if evidence.reaches(frames_per_false_alarm, bets):
            return True
    return False
