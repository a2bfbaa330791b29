"""A group's faintest frames are found by its filter, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.faint_members import faint_members
from softpatch.building.label_masks import LabelledGroup
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.projection import ProjectedGroups

if TYPE_CHECKING:
    from softpatch.manifest import GroupLabel

FRAMES, GRID, DIMENSION = 60, (6, 6), 16
STRONG, FAINT = (3, 11, 17, 24, 30, 37, 44, 51), (6, 20, 39)
PLACE = np.zeros(GRID, np.bool_)
PLACE[2:4, 2:4] = True


def projected(*, sets: int = 1, faint: float = 0.7) -> ProjectedGroups:
    """Noise, and a mark at the place: whole in the strong frames, that share of it in the faint ones."""
    rng = np.random.default_rng(0)
    frames = rng.normal(5, 1, (FRAMES, *GRID, DIMENSION)).astype(np.float32)
    mark = rng.normal(0, 1.2, DIMENSION).astype(np.float32)
    for rows, strength in ((STRONG, 1.0), (FAINT, faint)):
        for row in rows:
            frames[row, PLACE] += strength * mark
    buffer = MemoryBuffer(FRAMES, (*GRID, DIMENSION))
    buffer.append(frames)
    groups = [range(start, FRAMES, sets) for start in range(sets)]
    return ProjectedGroups(buffer, groups, np.eye(DIMENSION, dtype=np.float32))


def named(rows: tuple[int, ...] = STRONG, label: GroupLabel = "open", place: np.ndarray = PLACE) -> LabelledGroup:
    """The group of the strong frames."""
    group = MinorityGroup(rows, place, place, rows[0], 3.0)
    return LabelledGroup(None, label, group, rows, place, place)


@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize("label", ["open", "defect"])
def test_faint_members_are_found_and_no_other_frame(sets: int, label: GroupLabel) -> None:
    """In whichever interleaved set of the window they lie."""
    assert faint_members(projected(sets=sets), [named(label=label)]) == [set(FAINT)]


def test_nothing_is_found_where_no_frame_is_fainter() -> None:
    """The filter alone raises no frame above the others."""
    assert faint_members(projected(faint=0.0), [named()]) == [set()]


def test_each_that_joins_makes_the_filter_surer_of_the_next() -> None:
    """Three strong frames are an unsure filter, and draw all others in."""
    assert faint_members(projected(), [named(STRONG[:3])]) == [{*STRONG[3:], *FAINT}]


def test_a_mark_says_nothing_at_another_place() -> None:
    """There its frames are like all others."""
    assert faint_members(projected(), [named(place=np.roll(PLACE, 2, axis=0))]) == [set()]


def test_groups_that_are_learnt_absent_or_at_places_of_their_own_gain_none() -> None:
    """What is learnt keeps nothing out; turned parts, and what the bank in force fails, have a place in each frame."""
    group = named()
    turned = replace(group.group, frame_cells=np.stack([PLACE] * len(STRONG)))
    others = [named(label="good"), named(label="no_part"), replace(group, group=None), replace(group, group=turned)]
    assert faint_members(projected(), [*others, group]) == [set(), set(), set(), set(), set(FAINT)]


def test_a_group_in_a_set_with_one_of_its_frames_gains_none_there() -> None:
    """A filter without its own frame would be empty."""
    assert faint_members(projected(sets=FRAMES // 2), [named()]) == [set()]


def test_among_copies_nothing_joins() -> None:
    """Where all others are one picture there is no measure of what goes together by chance."""
    frames = projected(faint=0.0)
    copies = np.repeat(frames.embeddings.take(range(1)), FRAMES, axis=0)
    copies[list(STRONG)] += 1
    buffer = MemoryBuffer(FRAMES, (*GRID, DIMENSION))
    buffer.append(copies)
    assert faint_members(replace(frames, embeddings=buffer), [named()]) == [set()]


@pytest.mark.parametrize("count", [25, FRAMES - 1, FRAMES])
def test_a_group_of_most_of_a_set_gains_none(count: int) -> None:
    """As of frames that were named before and lie in one set."""
    assert faint_members(projected(), [named(tuple(range(count)))]) == [set()]


def test_more_than_two_fifths_never_join() -> None:
    """Of such a window nobody can say which part is the good one."""
    half = tuple(range(0, FRAMES, 2))
    frames = projected(faint=0.0)
    marked = frames.embeddings.take(range(FRAMES))
    marked[list(half)] += 3 * PLACE[..., None]
    buffer = MemoryBuffer(FRAMES, (*GRID, DIMENSION))
    buffer.append(marked)
    assert faint_members(replace(frames, embeddings=buffer), [named(half[:4])]) == [set()]
