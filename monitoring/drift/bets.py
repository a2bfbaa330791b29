"""Bets on frames that fall outside what the bank's window showed, each with the share the window allows outside.

How often an undisturbed line exceeds the k-th largest of n calibration frames is known without knowing anything of the
line: that share is Beta(k, n - k + 1) distributed (Wilks, "Determination of sample sizes for setting tolerance limits",
1941). A bet allows the upper end of that distribution; a window of few frames allows more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil, lgamma
from typing import TYPE_CHECKING

import numpy as np

from monitoring.drift.reference import QUANTITIES, Reference

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64, Int64

WATCHED = (*QUANTITIES, "gap", "rank")
"""Columns of what is bet on; gap: frames missing before this one; rank: p-value of its score among the view's past."""
TAILS = (0.01, 0.05, 0.2)
"""Shares of the window beyond a limit: one limit for a few frames far out, one for many frames a little out."""
SUSPECTED = (0.25, 0.9)
"""How far from the allowed share towards all frames the bet's alternative lies."""
RISES = (2.0, 4.0)
"""The alternatives of a defect rate, as multiples of the allowed share."""
DOUBT = 2e-4
"""Chance that one limit allows too little; about 40 limits, so 1 % that any does."""
GAPS_ALLOWED = 0.01
"""Share of frames that may follow a gap."""

SIDES = {name: (1,) if name in ("dark_ratio", "saturated_ratio", "novelty") else (-1, 1) for name in QUANTITIES}
"""Too many dark pixels are drift, too few are not."""
NEGLIGIBLE = {"dark_ratio": 0.01, "saturated_ratio": 0.01}
"""A change as small is no drift, however certain: shares of the picture."""
NEGLIGIBLE_RATIO = 0.05
"""The same for the other quantities, of the window's median: a lamp does as much within a day."""
NEGLIGIBLE_SCORE_RATIO = 0.25
"""Of scores: calibration scores lay as much beside a line's when this was measured; today's: a few percent."""


@dataclass(frozen=True)
class Bets:
    """All bets of a view, one a place: column of WATCHED, side (1 above, -1 below), limit, shares, and its weight.

    A bet says: under the null at most `allowed` of the frames lie beyond the limit; suspected: `suspected` of them do.
    Weights add up to 1.
    """

    column: Int64[np.ndarray, "bets"]
    side: Float64[np.ndarray, "bets"]
    limit: Float64[np.ndarray, "bets"]
    allowed: Float64[np.ndarray, "bets"]
    suspected: Float64[np.ndarray, "bets"]
    weight: Float64[np.ndarray, "bets"]

    @cached_property
    def outside_ratio(self) -> Float64[np.ndarray, "bets"]:
        """The likelihood ratio of a frame beyond the limit."""
        return np.asarray(self.suspected / self.allowed)

    @cached_property
    def inside_ratio(self) -> Float64[np.ndarray, "bets"]:
        """The likelihood ratio of a frame within it."""
        return np.asarray((1 - self.suspected) / (1 - self.allowed))

    def outside(self, watched: Float64[np.ndarray, "9"]) -> Bool[np.ndarray, "bets"]:
        """Which bets see this frame beyond their limit."""
        return np.asarray(watched[self.column] * self.side > self.limit * self.side)


@dataclass(frozen=True)
class _Limit:
    name: str
    side: int
    limit: float
    allowed: float
    suspected: tuple[float, ...]


def negligible_ratio(name: str) -> float:
    """The change of a quantity's median that is no drift, as a share of it."""
    return NEGLIGIBLE_SCORE_RATIO if name == "score" else NEGLIGIBLE_RATIO


def largest_share_beyond(rank: int, count: int, *, doubt: float = DOUBT) -> float:
    """What an undisturbed line exceeds the `rank`-th largest of `count` exchangeable frames by, but for `doubt`.

    The share at which fewer than `rank` of `count` frames lie beyond with the chance `doubt`: so the Beta distribution
    and the binomial hang together. Found by halving, to the last digit.
    """
    fewer = np.arange(rank)
    ways = np.array([lgamma(count + 1) - lgamma(each + 1) - lgamma(count - each + 1) for each in fewer.tolist()])
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        chance = np.exp(ways + fewer * np.log(middle) + (count - fewer) * np.log1p(-middle)).sum()
        low, high = (middle, high) if chance > doubt else (low, middle)
    return high


def bets_of(reference: Reference) -> Bets:
    """The bets on a view: each limit with each alternative; limits share their weight equally."""
    limits = [*_tails(reference), _rejects(reference), _gaps()]
    rows = [
        (WATCHED.index(each.name), each.side, each.limit, each.allowed, q, 1 / (len(limits) * len(each.suspected)))
        for each in limits
        for q in each.suspected
    ]
    column, *others = zip(*rows, strict=True)
    return Bets(np.array(column), *(np.array(values, np.float64) for values in others))


def _tails(reference: Reference) -> list[_Limit]:
    return [_tail(reference, name, side, tail) for name in QUANTITIES for side, tail in product(SIDES[name], TAILS)]


def _tail(reference: Reference, name: str, side: int, tail: float) -> _Limit:
    ordered = reference.ordered[:, QUANTITIES.index(name)]
    rank = ceil(tail * len(ordered))
    edge = ordered[-rank] if side > 0 else ordered[rank - 1]
    slack = NEGLIGIBLE.get(name, negligible_ratio(name) * abs(float(np.median(ordered))))
    allowed = largest_share_beyond(rank, len(ordered))
    return _Limit(
        name, side, float(edge + side * slack), allowed, tuple(allowed + q * (1 - allowed) for q in SUSPECTED)
    )


def _rejects(reference: Reference) -> _Limit:
    """Frames over the threshold. k of n in the window: a new one's share is at most the k + 1-th largest frame's."""
    rejected = int((reference.ordered[:, 0] > reference.threshold).sum())
    allowed = largest_share_beyond(min(rejected + 1, len(reference.ordered)), len(reference.ordered))
    return _Limit("score", 1, reference.threshold, allowed, tuple(min(rise * allowed, 0.999) for rise in RISES))


def _gaps() -> _Limit:
    return _Limit("gap", 1, 0.0, GAPS_ALLOWED, (0.05, 0.5))
