"""What a run comes to: pure figures over frames whose truth may be known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deploy.evaluation.results.metrics import OneClassOnly, auroc
from ingest.cameras.source import GOOD
from ingest.decision import Decision, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class JudgedFrame:
    """One frame that was sent, what is known of it, and what was decided."""

    label: str | None
    decision: Decision | None
    """None for a dead letter, or a frame without any answer."""
    latency_seconds: float | None = None
    """From the camera's send to its committed outcome being seen."""

    @property
    def defective(self) -> bool | None:
        """Whether the part is known to be bad."""
        return None if self.label is None else self.label != GOOD


def once_each(frames: Sequence[JudgedFrame]) -> list[JudgedFrame]:
    """Each part once: of several decisions with one id (a frame sent or delivered again) the first counts."""
    first: dict[str, JudgedFrame] = {}
    unanswered = [frame for frame in frames if frame.decision is None]
    for frame in frames:
        if frame.decision is not None:
            first.setdefault(frame.decision.id, frame)
    return [*first.values(), *unanswered]


def image_auroc(frames: Sequence[JudgedFrame]) -> float | None:
    """AUROC of the score ratio over all frames of known truth; None where there are not both good and bad ones.

    An undecided frame counts with its score ratio where it has one. A frame without any score loses every comparison:
    good, it ranks above all; defective, below all.
    """
    known = [frame for frame in frames if frame.defective is not None]
    if not known:
        return None
    ratios = np.array([_rank_by(frame) for frame in known], np.float64)
    try:
        return auroc(ratios, np.array([frame.defective for frame in known], bool))
    except OneClassOnly:
        return None


def _rank_by(frame: JudgedFrame) -> float:
    if frame.decision is not None and frame.decision.score_ratio is not None:
        return frame.decision.score_ratio
    return -np.inf if frame.defective else np.inf


def false_reject_ratio(frames: Sequence[JudgedFrame]) -> float | None:
    """Share of the good frames that failed; None without good frames."""
    return _share([frame for frame in frames if frame.defective is False], Verdict.FAIL)


def miss_ratio(frames: Sequence[JudgedFrame]) -> float | None:
    """Share of the defective frames that passed; None without defective frames."""
    return _share([frame for frame in frames if frame.defective], Verdict.PASS)


def undecided(frames: Sequence[JudgedFrame]) -> int:
    """How many frames got neither pass nor fail."""
    return sum(frame.decision is not None and frame.decision.verdict is Verdict.UNDECIDED for frame in frames)


def latency_seconds(frames: Sequence[JudgedFrame], percent: float) -> float | None:
    """A percentile of the latencies; None where there are none."""
    known = [frame.latency_seconds for frame in frames if frame.latency_seconds is not None]
    return float(np.percentile(known, percent)) if known else None


def _share(frames: Sequence[JudgedFrame], verdict: Verdict) -> float | None:
    if not frames:
        return None
    return sum(frame.decision is not None and frame.decision.verdict is verdict for frame in frames) / len(frames)
