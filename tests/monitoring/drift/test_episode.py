"""When an episode is over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monitoring.drift.bets import Bets
from monitoring.drift.diagnosis import DriftVerdict
from monitoring.drift.episode import MOST_RELIEF, RELIEF, Episode, EpisodeCause, likeliest_bet

CAUSE = EpisodeCause(column=0, side=1.0, limit=10.0, allowed=0.1, suspected=0.4)
EPISODE = Episode(DriftVerdict.DEFECT_RATE_ROSE, began=0, noticed=20, cause=CAUSE)
WELL, ILL = np.array([*[5.0] * 9]), np.array([*[15.0] * 9])


def test_relief_is_the_likelihood_ratio_of_a_line_that_is_well() -> None:
    """Written out: well over ill, since the likeliest frame of its repair."""
    episode = EPISODE
    for frame in (WELL, WELL, ILL, WELL):
        episode = episode.after(frame)
    assert episode.relief == pytest.approx(max(1.0, (0.9 / 0.6) ** 2 * (0.1 / 0.4)) * (0.9 / 0.6))
    assert episode.calm == 1


def test_an_episode_is_over_when_it_is_calm_for_long_and_surely() -> None:
    """Seventeen frames within bounds make it a thousand times likelier; sixty-four must pass."""
    episode, frames = EPISODE, 0
    while not episode.is_over(calm_frames=64):
        episode, frames = episode.after(WELL), frames + 1
    assert frames == 64
    assert replace(EPISODE, calm=64, relief=RELIEF / 2).is_over(calm_frames=64) is False


def test_a_relapse_is_not_outweighed_by_a_long_calm() -> None:
    """However long it was calm, a dozen frames beyond the limit begin the count anew."""
    episode = EPISODE
    for _ in range(60):
        episode = episode.after(WELL)
    assert episode.relief == MOST_RELIEF
    for _ in range(12):
        episode = episode.after(ILL)
    assert (episode.relief, episode.calm) == (1.0, 0)


def test_the_likeliest_bet_explains_the_frames() -> None:
    """Of "some above" and "nearly all above" the second, where nearly all are; of another column none."""
    bets = Bets(
        column=np.array([0, 0, 1]),
        side=np.ones(3),
        limit=np.full(3, 10.0),
        allowed=np.array([0.1, 0.1, 0.1]),
        suspected=np.array([0.3, 0.9, 0.9]),
        weight=np.full(3, 1 / 3),
    )
    frames = np.tile(np.array([15.0, *[5.0] * 8]), (12, 1))
    assert likeliest_bet(frames, bets) == 1
