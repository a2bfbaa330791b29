"""One view, decision after decision: a state of bounded size, and an episode while something is wrong.

Two procedures watch side by side, each with half of the allowance for false alarms: one what frames show against the
bank's window, one how scores rank among the view's own past. Their bounds add up (they see different histories, so they
are no single supermartingale): among N frames an undisturbed line alarms with probability at most N / A.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from monitoring.drift.bets import WATCHED, Bets, bets_of
from monitoring.drift.conformal_ranks import RankHistory, rank_bets
from monitoring.drift.diagnosis import (
    BLACK_RATIO,
    OF_FEW_FRAMES,
    OF_THE_PART,
    DriftVerdict,
    of_most_frames,
    verdict_of,
)
from monitoring.drift.episode import Episode, EpisodeCause, likeliest_bet
from monitoring.drift.evidence import FRAMES_PER_FALSE_ALARM, DriftEvidence
from monitoring.drift.frame_size import OtherSizes, size_words
from monitoring.drift.frozen_camera import FrozenCamera
from monitoring.drift.mmd import mmd
from monitoring.drift.psi import psi, psi_p_value
from monitoring.drift.reference import QUANTITIES, Reference, novelty
from monitoring.drift.sample_distances import kolmogorov_smirnov, wasserstein

if TYPE_CHECKING:
    from jaxtyping import Float64

    from monitoring.drift.observation import Observation

WINDOW_FRAMES = 64
"""The last frames that are kept: for the diagnosis, the published distances and the test of recovery."""
DIAGNOSED_FRAMES = 12
"""The last frames that name the cause: five may prove that something changed, not yet what. Older ones would mix in
what was before it."""

PROCEDURES = 2


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
class DriftState:
    """All that is remembered of a view: at most 128 kB. `seen` frames; the newest is row (seen - 1) mod 64.

    `rank_alarming`: for how many frames on end the ranks have been saying enough for an alarm.
    """

    evidence: DriftEvidence
    rank_evidence: DriftEvidence
    past: RankHistory
    continuity: FrozenCamera
    watched: Float64[np.ndarray, "64 9"]
    sketches: Float64[np.ndarray, "64 32"]
    seen: int = 0
    rank_alarming: int = 0
    other_sizes: OtherSizes = field(default_factory=OtherSizes)
    episode: Episode | None = None

    @classmethod
    def start(cls, baseline: Baseline) -> Self:
        """Before the first frame under a bank."""
        watched = np.zeros((WINDOW_FRAMES, len(WATCHED)))
        sketches = np.zeros((WINDOW_FRAMES, baseline.reference.sketches.shape[1]))
        return cls(
            DriftEvidence.none(baseline.bets),
            DriftEvidence.none(rank_bets()),
            RankHistory(),
            FrozenCamera(),
            watched,
            sketches,
        )

    def newest(self, frames: int) -> Float64[np.ndarray, "frames 9"]:
        """The last frames' watched quantities, in no order that matters; fewer where fewer were seen."""
        frames = min(frames, self.seen, WINDOW_FRAMES)
        return self.watched[np.arange(self.seen - frames, self.seen) % WINDOW_FRAMES]

    def evidence_ratio(self, baseline: Baseline, *, frames_per_false_alarm: float = FRAMES_PER_FALSE_ALARM) -> float:
        """How much speaks for a change, over what an alarm takes: of the two procedures the one that says more."""
        strengths = self.evidence.total(baseline.bets), self.rank_evidence.total(rank_bets())
        return max(strengths) / (PROCEDURES * frames_per_false_alarm)


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
    state: DriftState,
    observation: Observation,
    baseline: Baseline,
    *,
    frames_per_false_alarm: float = FRAMES_PER_FALSE_ALARM,
) -> DriftState:
    """One decision later. No bet is taken while an episode is open; it ends when its cause is back within bounds."""
    sizes = state.other_sizes.after(observation)
    state = replace(state, other_sizes=sizes)
    if observation.other_size_wh is not None:
        return _of_another_size(state, observation.other_size_wh, baseline)
    if state.episode is not None and state.episode.verdict is DriftVerdict.FRAME_SIZE_CHANGED:
        return state if sizes.count else _recovered(state, baseline)
    state = _remembered(state, observation, baseline)
    if state.episode is not None:
        return _at_one_place(_later(state, state.episode, baseline), observation)
    if state.continuity.equal_in_a_row:
        return _stood_still(state)
    return _at_one_place(_judged(_weighed(state, baseline), baseline, PROCEDURES * frames_per_false_alarm), observation)


def distances(state: DriftState, baseline: Baseline, rng: np.random.Generator) -> Distances:
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


def _remembered(state: DriftState, observation: Observation, baseline: Baseline) -> DriftState:
    continuity = state.continuity.after(observation, still=baseline.reference.still)
    row = state.seen % WINDOW_FRAMES
    watched, sketches = state.watched.copy(), state.sketches.copy()
    watched[row, : len(observation.values)] = observation.values
    watched[row, WATCHED.index("novelty")] = novelty(observation.sketch, baseline.reference)
    watched[row, WATCHED.index("gap")] = observation.missing
    watched[row, WATCHED.index("rank")] = state.past.p_value(observation.values[0])
    sketches[row] = observation.sketch
    return replace(state, continuity=continuity, watched=watched, sketches=sketches, seen=state.seen + 1)


def _of_another_size(state: DriftState, size_wh: tuple[int, int], baseline: Baseline) -> DriftState:
    """It is no evidence of anything else. Another episode gives way: nobody can tell whether it goes on."""
    known = state.episode is not None and state.episode.verdict is DriftVerdict.FRAME_SIZE_CHANGED
    if known or not state.other_sizes.changed:
        return state
    detail = size_words(baseline.reference.frame_wh, size_wh)
    return _opened(state, DriftVerdict.FRAME_SIZE_CHANGED, state.other_sizes.count, None, detail)


def _stood_still(state: DriftState) -> DriftState:
    """The same picture again is no new evidence of anything but a dead camera."""
    if not state.continuity.frozen:
        return state
    black = state.newest(1)[0, WATCHED.index("dark_ratio")] >= BLACK_RATIO
    return _opened(state, DriftVerdict.COVERED if black else DriftVerdict.FROZEN, state.continuity.equal_in_a_row, None)


def _weighed(state: DriftState, baseline: Baseline) -> DriftState:
    newest = state.newest(1)[0]
    ranks = rank_bets()
    rank_evidence = state.rank_evidence.after(ranks.outside(newest), ranks)
    return replace(
        state,
        evidence=state.evidence.after(baseline.bets.outside(newest), baseline.bets),
        rank_evidence=DriftEvidence.none(ranks) if state.past.full else rank_evidence,
        past=state.past.with_score(float(newest[0])),
    )


def _judged(state: DriftState, baseline: Baseline, needed: float) -> DriftState:
    """An alarm waits until the last DIAGNOSED_FRAMES can name its cause.

    Against the bank they can once the change is that old. Among the ranks most changes are dated far too early, so
    there they can once the alarm itself is that old.
    """
    bet = state.evidence.strongest(baseline.bets)
    if state.evidence.rising[bet] >= DIAGNOSED_FRAMES and state.evidence.reaches(needed, baseline.bets):
        return _diagnosed(state, baseline.bets, bet, int(state.evidence.rising[bet]), baseline)
    ranks = rank_bets()
    alarming = state.rank_alarming + 1 if state.rank_evidence.reaches(needed, ranks) else 0
    if alarming >= DIAGNOSED_FRAMES:
        bet = state.rank_evidence.strongest(ranks)
        return _diagnosed(state, ranks, bet, int(state.rank_evidence.rising[bet]), baseline)
    return replace(state, rank_alarming=alarming)


def _diagnosed(state: DriftState, bets: Bets, bet: int, since: int, baseline: Baseline) -> DriftState:
    cause = EpisodeCause.of(bets, bet)
    recent = state.newest(DIAGNOSED_FRAMES)[:, : len(QUANTITIES)]
    driver = WATCHED[cause.column]
    return _opened(state, verdict_of(recent, baseline.reference, driver=driver, side=int(cause.side)), since, cause)


def _opened(
    state: DriftState, verdict: DriftVerdict, since: int, cause: EpisodeCause | None, detail: str = ""
) -> DriftState:
    return replace(state, episode=Episode(verdict, state.seen - since, state.seen, cause, detail=detail))


def _later(state: DriftState, episode: Episode, baseline: Baseline) -> DriftState:
    """The episode goes on, by its name or a better one, or is over."""
    if episode.cause is None:
        return state if state.continuity.frozen else _recovered(state, baseline)
    if state.continuity.frozen:
        return _stood_still(state)
    episode = episode.after(state.newest(1)[0])
    if episode.is_over(calm_frames=WINDOW_FRAMES):
        return _recovered(state, baseline)
    return replace(state, episode=_reconsidered(state, episode, baseline))


def _reconsidered(state: DriftState, episode: Episode, baseline: Baseline) -> Episode:
    """A second look when twice the frames are there: the first few may have named it wrongly.

    Later diagnoses only find where a change of few frames has become one of most: a worn tool must not hide a knocked
    camera.
    """
    later = state.seen - episode.noticed
    if later == 0 or later % DIAGNOSED_FRAMES or episode.cause is None or episode.calm >= DIAGNOSED_FRAMES:
        return episode
    watched = state.newest(2 * DIAGNOSED_FRAMES)
    recent = watched[:, : len(QUANTITIES)]
    found = of_most_frames(recent, baseline.reference)
    if later > DIAGNOSED_FRAMES and (found is None or episode.verdict not in OF_FEW_FRAMES):
        return episode
    cause = episode.cause if found is None else EpisodeCause.of(baseline.bets, likeliest_bet(watched, baseline.bets))
    driver, side = WATCHED[episode.cause.column], int(episode.cause.side)
    verdict = found or verdict_of(recent, baseline.reference, driver=driver, side=side)
    if episode.verdict is DriftVerdict.LENS_OR_FIXTURE and verdict in OF_THE_PART:
        verdict = episode.verdict
    return replace(episode, verdict=verdict, cause=cause)


def _at_one_place(state: DriftState, observation: Observation) -> DriftState:
    """What was taken for a change of the part is one of the lens or the fixture, where frames fail at one place."""
    episode = state.episode
    if episode is None or not observation.same_place or episode.verdict not in OF_THE_PART:
        return state
    return replace(state, episode=replace(episode, verdict=DriftVerdict.LENS_OR_FIXTURE))


def _recovered(state: DriftState, baseline: Baseline) -> DriftState:
    fresh = DriftEvidence.none(baseline.bets), DriftEvidence.none(rank_bets())
    return replace(state, episode=None, evidence=fresh[0], rank_evidence=fresh[1], rank_alarming=0)
