"""Frames that the bank in force fails, alike, are groups; what fails otherwise is none."""

from __future__ import annotations

import numpy as np

from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.quarantine import quarantined_groups, with_quarantined
from softpatch.gate.prior_scores import PriorBank, prior_scores
from softpatch.scoring.search import FlatSearch
from tests.softpatch.gate.banks import GEOMETRY, GRID, buffer_of, embedded, toy_bank

FRAMES = 20


def groups_of(
    frames: np.ndarray, *, fewest: int = 4, window: int = FRAMES, aligned: bool = True
) -> list[MinorityGroup]:
    """The groups of these frames by a bank of one patch at the origin and a threshold of 1."""
    prior = prior_scores(PriorBank(toy_bank(scores=np.full(5, 0.5)), "a" * 64, 1.0), buffer_of(frames), FlatSearch)
    return quarantined_groups(
        prior,
        fewest=fewest,
        window_frames=window,
        aligned=aligned,
        geometry=GEOMETRY,
        grid=GRID,
        frame_wh=(32, 32),
    )


def marked(frames: np.ndarray, which: range, place: tuple[int, int], vector: tuple[float, float, float]) -> None:
    """Put nearly the same patch into these frames."""
    rng = np.random.default_rng(1)
    for number in which:
        frames[number][place] = np.array(vector) + rng.normal(0, 0.05, 3)


def test_frames_that_fail_alike_in_more_than_a_few_are_a_group() -> None:
    """Four with the same mark at one place; its cells are those that fail, and only those."""
    frames = embedded(FRAMES)
    marked(frames, range(5, 9), (1, 2), (3, 0, 0))
    (group,) = groups_of(frames)
    assert group.frames == (5, 6, 7, 8)
    assert np.argwhere(group.cells).tolist() == [[1, 2]]
    assert group.frame_cells is not None
    assert group.frame_cells.shape == (4, *GRID)
    assert groups_of(frames, fewest=5) == []


def test_a_frame_that_fails_faintly_is_kept_out_wherever_its_like_fail() -> None:
    """On an aligned line. It was kept out at the one patch where it failed, its other patches of the mark were learnt.

    Of 18 marked parts 13 passed then; now none. Where parts lie turned, a place in one frame says nothing of another.
    """
    frames = embedded(FRAMES)
    marked(frames, range(5, 9), (1, 2), (3, 0, 0))
    marked(frames, range(5, 8), (2, 2), (0, 3, 0))
    (group,) = groups_of(frames)
    assert group.frame_cells is not None
    assert [np.argwhere(cells).tolist() for cells in group.frame_cells] == [[[1, 2], [2, 2]]] * 4
    (turned,) = groups_of(frames, aligned=False)
    assert turned.frame_cells is not None
    assert np.argwhere(turned.frame_cells[3]).tolist() == [[1, 2]]


def test_a_frame_is_kept_out_at_the_places_of_those_that_vouch_for_it_alone() -> None:
    """A frame with two marks makes those that have either one group, but they vouch for it and not for each other."""
    frames = embedded(FRAMES)
    marked(frames, range(4, 8), (0, 0), (3, 0, 0))
    marked(frames, range(7, 11), (3, 3), (0, 3, 0))
    marked(frames, range(10, 11), (0, 3), (0, 0, 3))
    (group,) = groups_of(frames)
    assert group.frames == (4, 5, 6, 7, 8, 9, 10)
    assert group.frame_cells is not None
    assert np.argwhere(group.frame_cells[0]).tolist() == [[0, 0], [3, 3]]
    assert np.argwhere(group.frame_cells[3]).tolist() == [[0, 0], [0, 3], [3, 3]]


def test_frames_that_fail_each_in_its_own_way_are_none() -> None:
    """Scattered defects: four frames, four directions, none near to another."""
    frames = embedded(FRAMES)
    for number, vector in enumerate([(3, 0, 0), (0, 3, 0), (0, 0, 3), (-3, 0, 0)]):
        frames[number, 1, 2] = vector
    assert groups_of(frames) == []


def test_on_an_aligned_line_what_is_alike_lies_at_one_place() -> None:
    """The same mark in four corners: one group where parts lie as they like, none where they lie alike."""
    frames = embedded(FRAMES)
    for number, place in enumerate([(0, 0), (0, 3), (3, 0), (3, 3)]):
        frames[number][place] = (3, 0, 0)
    assert groups_of(frames) == []
    (group,) = groups_of(frames, aligned=False)
    assert group.frames == (0, 1, 2, 3)
    assert group.frame_cells is not None
    assert [np.argwhere(cells).tolist() for cells in group.frame_cells] == [[[0, 0]], [[0, 3]], [[3, 0]], [[3, 3]]]


def test_two_marks_are_two_groups_the_larger_first() -> None:
    """At one place, but unlike each other."""
    frames = embedded(FRAMES)
    marked(frames, range(4), (1, 2), (3, 0, 0))
    marked(frames, range(4, 9), (1, 2), (0, 3, 0))
    assert [group.frames for group in groups_of(frames)] == [(4, 5, 6, 7, 8), (0, 1, 2, 3)]


def test_a_group_of_any_share_is_named() -> None:
    """Dust on the lens for a shift is a group, too; how much may be left out of a bank is the rule of the labels.

    Where half of the window failed nothing was named: with a known group beside it, dust on a third was learnt.
    """
    frames = embedded(FRAMES)
    marked(frames, range(12), (1, 2), (3, 0, 0))
    (group,) = groups_of(frames)
    assert group.frames == tuple(range(12))


def test_labelled_frames_behind_the_window_help_to_recognise_a_group() -> None:
    """Two frames of the window and two exemplars are four; exemplars alone are no group of this window."""
    frames = embedded(FRAMES)
    marked(frames, range(16, 20), (1, 2), (3, 0, 0))
    (group,) = groups_of(frames, window=18)
    assert group.frames == (16, 17, 18, 19)
    assert groups_of(frames, window=16) == []


def test_a_group_that_the_search_found_is_not_asked_about_twice() -> None:
    """The same frames at the same place are one group; at another place they are another question."""
    frames = embedded(FRAMES)
    marked(frames, range(4), (1, 2), (3, 0, 0))
    (quarantined,) = groups_of(frames)
    cells = np.zeros(GRID, np.bool_)
    cells[1, 2] = True
    same = MinorityGroup((0, 1, 2, 9), cells, cells, 0, 3.0)
    elsewhere = MinorityGroup((0, 1, 2, 9), ~cells, ~cells, 0, 3.0)
    assert with_quarantined([same], [quarantined]) == [same]
    assert with_quarantined([elsewhere], [quarantined]) == [elsewhere, quarantined]
