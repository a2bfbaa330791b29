"""Scores ranked among the view's own past under one bank: finds a tail that grows, whatever the calibration says.

Cross-fitted calibration scores lie a little beside a line's, and a few hundred of them leave much doubt about their
tail; both hide a rising share of defects. The view's own past has neither fault. While frames are exchangeable, the
rank of the newest among all so far is uniform and independent of the ranks before it, so its p-value is below a with
probability at most a given those: the bets are exact, with no doubt to allow for. Vovk, Petej, Nouretdinov, Ahlberg,
Carlsson, Gammerman, "Retrain or not retrain: conformal test martingales for change-point detection", 2021.

Frames after the change join the past and blunt it: a rise is found within a few hundred frames or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.bets import WATCHED, Bets

if TYPE_CHECKING:
    from jaxtyping import Float64

TAILS = (0.05, 0.1, 0.2)
RISES = (1.5, 2.5)
"""The alternatives: so many times the frames that belong in the tail."""
REMEMBERED = 4096
"""Scores; a full past is dropped and gathered anew, so that memory is bounded and the bets stay exact."""


@dataclass(frozen=True)
class Past:
    """Scores of a view under one bank, rising."""

    scores: Float64[np.ndarray, "frames"] = field(default_factory=lambda: np.empty(0))

    def p_value(self, score: float) -> float:
        """The share of all frames, this one counted, that score at least as high."""
        higher = len(self.scores) - int(np.searchsorted(self.scores, score, side="left"))
        return (higher + 1) / (len(self.scores) + 1)

    def with_score(self, score: float) -> Past:
        """The past with one frame more, or a new one where it is full."""
        if len(self.scores) >= REMEMBERED:
            return Past()
        place = int(np.searchsorted(self.scores, score))
        return Past(np.concatenate([self.scores[:place], [score], self.scores[place:]]))


@lru_cache(maxsize=1)
def rank_bets() -> Bets:
    """The bets on p-values, the same for every view: a p-value beyond its limit lies below the tail's share."""
    tail, rise = np.array(list(product(TAILS, RISES))).T
    bets = len(tail)
    column = np.full(bets, WATCHED.index("rank"))
    return Bets(column, np.full(bets, -1.0), tail, tail, tail * rise, np.full(bets, 1 / bets))
