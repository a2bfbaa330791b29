"""Something is wrong with a view: since when, what it is called, and when it is over.

It is over when the bet that opened it has seen the opposite for as many frames as a window holds, and strongly: the
likelihood ratio of "as the line may be" over "as suspected", since the likeliest frame of its repair (a CUSUM).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    from monitoring.drift.bets import Bets
    from monitoring.drift.diagnosis import DriftVerdict

RELIEF = 1000.0
"""How much likelier the line must be well than not."""
MOST_RELIEF = 1e6
"""What is kept of it at most, so that a relapse within the last frames is seen."""


@dataclass(frozen=True)
class EpisodeCause:
    """The bet that says most: which column of WATCHED lies beyond which side of its limit, in which share of frames.

    `allowed` while the line is well, `suspected` while it is not.
    """

    column: int
    side: float
    limit: float
    allowed: float
    suspected: float

    @classmethod
    def of(cls, bets: Bets, bet: int) -> EpisodeCause:
        """The cause that one of the bets names."""
        return cls(
            int(bets.column[bet]),
            float(bets.side[bet]),
            float(bets.limit[bet]),
            float(bets.allowed[bet]),
            float(bets.suspected[bet]),
        )

    def relief(self, watched: Float64[np.ndarray, "9"]) -> float:
        """How much likelier one frame is on a line that is well."""
        if watched[self.column] * self.side > self.limit * self.side:
            return self.allowed / self.suspected
        return (1 - self.allowed) / (1 - self.suspected)


@dataclass(frozen=True)
class Episode:
    """Something is wrong since about `began` and was noticed at `noticed`, both counted in frames of the baseline.

    `cause` is None for a camera that repeats one picture, and for frames of another size. `calm` counts the frames
    since the likeliest repair and `relief` is how likely one is.
    """

    verdict: DriftVerdict
    began: int
    noticed: int
    cause: EpisodeCause | None
    calm: int = 0
    relief: float = 1.0
    detail: str = ""
    """What the verdict leaves out, where there is something: from which size to which."""

    def after(self, watched: Float64[np.ndarray, "9"]) -> Episode:
        """One frame later."""
        if self.cause is None:
            return self
        relief = min(self.relief * self.cause.relief(watched), MOST_RELIEF)
        return replace(self, relief=max(relief, 1.0), calm=self.calm + 1 if relief > 1.0 else 0)

    def is_over(self, *, calm_frames: int) -> bool:
        """Whether the line is well again."""
        return self.relief >= RELIEF and self.calm >= calm_frames


def likeliest_bet(watched: Float64[np.ndarray, "frames 9"], bets: Bets) -> int:
    """The bet whose alternative explains these frames best against what it allows."""
    outside = np.array([bets.outside(frame) for frame in watched])
    gains, losses = np.log(bets.suspected / bets.allowed), np.log((1 - bets.suspected) / (1 - bets.allowed))
    return int(np.argmax(np.where(outside, gains, losses).sum(axis=0)))
