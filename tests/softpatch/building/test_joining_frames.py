"""Frames that pass by the bank in force and are nearer to a group than to it join the group; no others do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softpatch.building.joining_frames import JoiningFrames, joining_frames
from softpatch.gate.prior_scores import PriorBank, prior_scores
from softpatch.scoring.search import BruteSearch
from tests.softpatch.gate.banks import buffer_of, embedded, toy_bank

FRAMES = 40
MARKED = range(5, 9)
PLACE = (1, 2)
FAINT = (0.9, 0.0, 0.0)
"""Within the threshold of 1, and far nearer to a mark of 1.2 than to the bank at the origin."""


def joining(frames: np.ndarray, *, fewest: int = 4, metric: np.ndarray | None = None) -> JoiningFrames:
    """By a bank of one patch at the origin and a threshold of 1."""
    bank = replace(toy_bank(scores=np.full(5, 0.5)), metric=None if metric is None else metric.astype(np.float32))
    prior = PriorBank(bank, "a" * 64, 1.0)
    buffer = buffer_of(frames)
    return joining_frames(prior_scores(prior, buffer, BruteSearch), buffer, BruteSearch, fewest=fewest)


def test_frames_are_compared_as_the_bank_compares_them() -> None:
    """By its metric one direction does not count: what stands out in it alone is nothing."""
    frames = with_marks()
    frames[3][PLACE] = (0.9, 5.0, 0.0)
    assert joining(frames, metric=np.diag([1, 0, 1])).of(MARKED) == [3, *MARKED]
    assert joining(frames).of(MARKED) != [3, *MARKED]


def with_marks() -> np.ndarray:
    """Four frames fail by the same mark, each a little otherwise."""
    frames = embedded(FRAMES)
    for number in MARKED:
        frames[number][PLACE] = (1.2, 0.01 * number, 0.0)
    return frames


def test_a_frame_that_passes_with_the_mark_joins_the_others() -> None:
    """In whichever batch it lies, and wherever its mark is within two patches of theirs: it scores 0.9.

    Two of seven marked frames were learnt so, and vouched for those of the next day: 6 of 18 were found.
    """
    frames = with_marks()
    frames[3][PLACE] = FAINT
    frames[35][3, 0] = FAINT
    assert joining(frames).of(MARKED) == [3, *MARKED, 35]


def test_frames_without_the_mark_do_not_join() -> None:
    """Good ones, and one that stands out as far at that place, but otherwise: it is nearer to the bank."""
    frames = with_marks()
    frames[3][PLACE] = (0.0, 0.9, 0.0)
    frames[4][PLACE] = (0.5, 0.0, 0.0)
    assert joining(frames).of(MARKED) == [*MARKED]


def test_the_far_end_of_what_varies_anyway_does_not_join() -> None:
    """A place that looks a little otherwise in each good frame, up to nearly what fails there.

    A third of them is nearer to what fails than to the bank; nothing tells any of them from the rest.
    """
    frames = embedded(FRAMES)
    frames[:, 1, 2, 0] = np.linspace(0, 0.9, FRAMES)
    for number in MARKED:
        frames[number][PLACE] = (1.05, 0.01 * number, 0.0)
    assert joining(frames).of(MARKED) == [*MARKED]


def test_what_looks_like_the_mark_at_another_place_does_not_join() -> None:
    """Three patches to the left, where parts lie alike: that is another thing."""
    frames = with_marks()
    frames[:, 1, 3] = frames[:, 1, 2]
    frames[:, 1, 2] = 0
    frames[3][1, 0] = FAINT
    assert joining(frames).of(MARKED) == [*MARKED]


def test_a_scattered_defect_of_one_of_them_draws_nobody_in() -> None:
    """What one member has beside the mark, or two, is not what the group is of."""
    frames = with_marks()
    for number in (5, 6):
        frames[number][3, 3] = (0.0, 0.0, 1.2)
    frames[3][3, 3] = (0.0, 0.0, 0.9)
    assert joining(frames).of(MARKED) == [*MARKED]
    for number in (7, 8):
        frames[number][3, 3] = (0.0, 0.0, 1.2)
    assert joining(frames).of(MARKED) == [3, *MARKED]


def test_it_joins_the_group_whose_mark_it_has_alone() -> None:
    """Two groups at one place: each has its own; frames that fail alike in fewer than a group draw nobody in."""
    frames = with_marks()
    for number in range(10, 14):
        frames[number][PLACE] = (0.0, 1.2, 0.0)
    frames[3][PLACE] = FAINT
    found = joining(frames)
    assert found.of(range(10, 14)) == [10, 11, 12, 13]
    assert found.of(MARKED) == [3, *MARKED]
    assert found.of(MARKED[:3]) == []
    assert found.of([]) == []


def test_where_nothing_fails_nobody_joins() -> None:
    """No failing patch, no group."""
    assert joining(embedded(FRAMES)).of(range(FRAMES)) == []
