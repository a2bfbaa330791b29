"""Scores ranked among the view's own past under one bank: finds a tail that grows, whatever the calibration says.

Cross-fitted calibration scores lie a little beside a line's, and a few hundred of them leave much doubt about their
tail; both hide a rising share of defects. The view's own past has neither fault. While frames are exchangeable, the
rank of the newest among all so far is uniform and independent of the ranks before it, so its p-value is below a with
probability at most a given those: the bets are exact, with no doubt to allow for. Vovk, Petej, Nouretdinov, Ahlberg,
Carlsson, Gammerman, "Retrain or not retrain: conformal test martingales for change-point detection", 2021.

A bet says that so many of all frames have become defects, and that these score among the highest tenth, say: a mixture
over shares and tails, since nobody knows how well a line's scores tell its defects.

Frames after the change join the past and blunt it, the less the longer the past. It has two halves: where the older is
full, the younger takes its place, and evidence begins anew, so that the bets stay exact in bounded memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.bets import WATCHED, Bets

if TYPE_CHECKING:
    from jaxtyping import Float32

TAILS = (0.01, 0.03, 0.08, 0.2, 0.4)
"""The highest scores that the new defects are among, as a share of the past."""
NEW_DEFECTS = (0.03, 0.08, 0.2)
"""The alternatives: so many of all frames are defects that were none before."""
REMEMBERED = 16_384
"""Scores that the older half ends with; the younger one then holds half of them."""


@dataclass(frozen=True)
class RankHistory:
    """Scores of a view under one bank, rising: all since it began, and those of its second half."""

    scores: Float32[np.ndarray, "frames"] = field(default_factory=lambda: np.empty(0, np.float32))
    younger: Float32[np.ndarray, "later"] = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def full(self) -> bool:
        """Whether the next score begins with the younger half alone."""
        return len(self.scores) >= REMEMBERED

    def p_value(self, score: float) -> float:
        """The share of all frames, this one counted, that score at least as high."""
        higher = len(self.scores) - int(self.scores.searchsorted(np.float32(score)))
        return (higher + 1) / (len(self.scores) + 1)

    def with_score(self, score: float) -> RankHistory:
        """The past with one frame more."""
        younger = _with(self.younger, score) if len(self.scores) >= REMEMBERED // 2 else self.younger
        if self.full:
            return RankHistory(younger)
        return RankHistory(_with(self.scores, score), younger)


@lru_cache(maxsize=1)
def rank_bets() -> Bets:
    """The bets on p-values, the same for every view: a p-value beyond its limit lies below the tail's share."""
    tail, defects = np.array(list(product(TAILS, NEW_DEFECTS))).T
    bets = len(tail)
    column = np.full(bets, WATCHED.index("rank"))
    suspected = tail + defects * (1 - tail)
    return Bets(column, np.full(bets, -1.0), tail, tail, suspected, np.full(bets, 1 / bets))


def _with(rising: Float32[np.ndarray, "frames"], score: float) -> Float32[np.ndarray, "frames+1"]:
    place = int(rising.searchsorted(np.float32(score)))
    return np.concatenate([rising[:place], np.array([score], np.float32), rising[place:]])
