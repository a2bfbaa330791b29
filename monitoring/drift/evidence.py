"""Evidence of drift, frame after frame: a Shiryaev-Roberts procedure over all bets, its false alarms bounded by proof.

A bet multiplies by e = q1 / q0 where the frame lies beyond its limit and by (1 - q1) / (1 - q0) where not. While the
line is undisturbed, that is while each frame lies beyond with probability at most q0 given all frames before it, e has
mean at most 1, so (R + 1) e has mean at most R + 1. With weights that add up to 1, the weighted sum of all R less the
number of frames is a supermartingale. The alarm is where the sum reaches A:
- the mean number of frames until a false alarm is at least A (optional stopping);
- the chance of one among the first N frames is at most N / A (Markov's inequality).
All bets that see the same frames, without a correction for their number and whatever their dependence. Pollak, "Optimal
detection of a change in distribution", 1985; as e-detectors: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric
framework for sequential change detection", 2022. A line whose frames come in runs (one bad lot, one slow swing of the
light) is not undisturbed in this sense, and is not promised anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

    from monitoring.drift.bets import Bets

FRAMES_PER_FALSE_ALARM = 100_000
"""A: an undisturbed line alarms once in so many frames at most, on average."""


@dataclass(frozen=True)
class DriftEvidence:
    """What each bet has seen.

    `strength` is its R. `since_change` is the likelihood ratio of the likeliest change (Page's CUSUM), and `rising` how
    many frames ago that change was; 0 where none is likelier than any.
    """

    strength: Float64[np.ndarray, "bets"]
    since_change: Float64[np.ndarray, "bets"]
    rising: Int64[np.ndarray, "bets"]

    @classmethod
    def none(cls, bets: Bets) -> Self:
        """Before the first frame."""
        count = len(bets.column)
        return cls(np.zeros(count), np.ones(count), np.zeros(count, np.int64))

    def after(self, outside: Bool[np.ndarray, "bets"], bets: Bets) -> DriftEvidence:
        """One frame later."""
        factor = np.where(outside, bets.outside_ratio, bets.inside_ratio)
        since_change = np.maximum(self.since_change * factor, 1.0)
        rising = np.where(since_change > 1.0, self.rising + 1, 0)
        return DriftEvidence((self.strength + 1) * factor, since_change, rising)

    def reaches(self, frames_per_false_alarm: float, bets: Bets) -> bool:
        """Whether an undisturbed line would show so much only once in that many frames."""
        return self.total(bets) >= frames_per_false_alarm

    def total(self, bets: Bets) -> float:
        """The weighted sum of all bets' strength."""
        return float(bets.weight @ self.strength)

    def strongest(self, bets: Bets) -> int:
        """The place of the bet that says most."""
        return int(np.argmax(bets.weight * self.strength))
