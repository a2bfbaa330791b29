"""One view, decision after decision: a state of fixed size, and an episode while something is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from monitoring.drift.bets import WATCHED, Bets, bets_of
from monitoring.drift.continuity import Continuity
from monitoring.drift.diagnosis import BLACK_RATIO, Verdict, verdict_of
from monitoring.drift.evidence import FRAMES_PER_FALSE_ALARM, Evidence
from monitoring.drift.mmd import mmd
from monitoring.drift.psi import psi, psi_p_value
from monitoring.drift.reference import QUANTITIES, Reference, novelty
from monitoring.drift.samples import kolmogorov_smirnov, wasserstein

if TYPE_CHECKING:
    from jaxtyping import Float64

    from monitoring.drift.observation import Observation

WINDOW_FRAMES = 64
"""The last frames that are kept: what is diagnosed, what the published distances are of, what recovery is judged by."""
FEWEST_DIAGNOSED = 12
"""An alarm waits until its cause is so many frames old: five may prove that something changed, not yet what."""


@dataclass(frozen=True)
class Baseline:
    """What a view is held against: its bank's reference and the bets made of it. A new bank makes a new baseline."""

    reference: Reference
    bets: Bets

    @classmethod
    def of(cls, reference: Reference) -> Self:
        """The baseline of a reference."""
        return cls(reference, bets_of(reference))


@dataclass(frozen=True)
class Episode:
    """Something is wrong since about `began` and was noticed at `noticed`, both counted in frames of the baseline.

    `bet` is the place of the bet that said most; None for a camera that stands still, which needs no bet.
    """

    verdict: Verdict
    began: int
    noticed: int
    bet: int | None


@dataclass(frozen=True)
class Following:
    """All that is remembered of a view: 30 kB whatever its age. `seen` frames; the newest is row (seen - 1) mod 64."""

    evidence: Evidence
    continuity: Continuity
    watched: Float64[np.ndarray, "64 8"]
    sketches: Float64[np.ndarray, "64 32"]
    seen: int = 0
    episode: Episode | None = None

    @classmethod
    def start(cls, baseline: Baseline) -> Self:
        """Before the first frame under a bank."""
        watched = np.zeros((WINDOW_FRAMES, len(WATCHED)))
        sketches = np.zeros((WINDOW_FRAMES, baseline.reference.sketches.shape[1]))
        return cls(Evidence.none(baseline.bets), Continuity(), watched, sketches)

    def newest(self, frames: int) -> Float64[np.ndarray, "frames 8"]:
        """The last frames' watched quantities, in no order that matters; fewer where fewer were seen."""
        frames = min(frames, self.seen, WINDOW_FRAMES)
        return self.watched[np.arange(self.seen - frames, self.seen) % WINDOW_FRAMES]


@dataclass(frozen=True)
class Distances:
    """How far the last frames are from the bank's window; p-values are for one look, alarms come from evidence alone.

    `wasserstein` is of scores, over the threshold: the unit of score_ratio.
    """

    kolmogorov_smirnov: float
    kolmogorov_smirnov_p: float
    wasserstein: float
    psi: float
    psi_p: float
    mmd_squared: float
    mmd_p: float


def follow(
    state: Following,
    observation: Observation,
    baseline: Baseline,
    *,
    frames_per_false_alarm: float = FRAMES_PER_FALSE_ALARM,
) -> Following:
    """One decision later. No bet is taken while an episode is open; it ends when its cause is back within bounds."""
    state = _remembered(state, observation, baseline)
    if state.episode is not None:
        return _recovered(state, baseline) if _is_over(state, state.episode, baseline) else state
    if state.continuity.equal_in_a_row:
        return _stood_still(state)
    outside = baseline.bets.outside(state.newest(1)[0])
    state = replace(state, evidence=state.evidence.after(outside, baseline.bets))
    if not state.evidence.alarms(baseline.bets, frames_per_false_alarm=frames_per_false_alarm):
        return state
    bet = state.evidence.strongest(baseline.bets)
    return _diagnosed(state, bet, baseline) if state.evidence.rising[bet] >= FEWEST_DIAGNOSED else state


def distances(state: Following, baseline: Baseline, rng: np.random.Generator) -> Distances:
    """What is published beside the verdict. Raises ValueError before the window is full: small samples mislead."""
    if state.seen < WINDOW_FRAMES:
        raise ValueError(f"{state.seen} frames seen, distances need {WINDOW_FRAMES}")
    ordered, scores = baseline.reference.ordered[:, 0], state.watched[:, 0]
    distance, p_value = kolmogorov_smirnov(ordered, scores)
    stability = psi(ordered, scores)
    discrepancy = mmd(baseline.reference.sketches, state.sketches, rng)
    return Distances(
        kolmogorov_smirnov=distance,
        kolmogorov_smirnov_p=p_value,
        wasserstein=wasserstein(ordered, scores) / baseline.reference.threshold,
        psi=stability,
        psi_p=psi_p_value(stability, reference_frames=len(ordered), sample_frames=len(scores)),
        mmd_squared=discrepancy.squared,
        mmd_p=discrepancy.p_value,
    )


def _remembered(state: Following, observation: Observation, baseline: Baseline) -> Following:
    continuity = state.continuity.after(observation, still=baseline.reference.still)
    row = state.seen % WINDOW_FRAMES
    watched, sketches = state.watched.copy(), state.sketches.copy()
    watched[row, : len(observation.values)] = observation.values
    watched[row, WATCHED.index("novelty")] = novelty(observation.sketch, baseline.reference)
    watched[row, WATCHED.index("gap")] = continuity.missing
    sketches[row] = observation.sketch
    return replace(state, continuity=continuity, watched=watched, sketches=sketches, seen=state.seen + 1)


def _stood_still(state: Following) -> Following:
    """The same picture again is no new evidence of anything but a dead camera."""
    if not state.continuity.frozen:
        return state
    black = state.newest(1)[0, WATCHED.index("dark_ratio")] >= BLACK_RATIO
    return _opened(state, Verdict.COVERED if black else Verdict.FROZEN, state.continuity.equal_in_a_row, None)


def _diagnosed(state: Following, bet: int, baseline: Baseline) -> Following:
    since = int(state.evidence.rising[bet])
    recent = state.newest(since)[:, : len(QUANTITIES)]
    driver, side = WATCHED[baseline.bets.column[bet]], int(baseline.bets.side[bet])
    return _opened(state, verdict_of(recent, baseline.reference, driver=driver, side=side), since, bet)


def _opened(state: Following, verdict: Verdict, since: int, bet: int | None) -> Following:
    return replace(state, episode=Episode(verdict, state.seen - since, state.seen, bet))


def _is_over(state: Following, episode: Episode, baseline: Baseline) -> bool:
    """Whether a full window since the alarm has no more frames beyond the limit than the bank's own window allows."""
    if episode.bet is None:
        return not state.continuity.frozen
    if state.seen - episode.noticed < WINDOW_FRAMES:
        return False
    bets, bet = baseline.bets, episode.bet
    values = state.watched[:, bets.column[bet]]
    return bool((values * bets.side[bet] > bets.limit[bet] * bets.side[bet]).mean() <= bets.allowed[bet])


def _recovered(state: Following, baseline: Baseline) -> Following:
    return replace(state, episode=None, evidence=Evidence.none(baseline.bets))
