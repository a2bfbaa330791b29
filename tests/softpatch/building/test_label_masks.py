"""Which frames of a window belong to a known group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from softpatch.building.group_records import group_records, named_frames
from softpatch.building.label_masks import (
    LabelledGroup,
    frames_not_learnt,
    joined,
    labelled_groups,
    patch_labels,
    patches_elsewhere,
    still_named,
)
from softpatch.building.labels import Exemplars, LabelledFrames
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.window import UsableFrames
from softpatch.images.geometry import FrameGeometry
from softpatch.manifest import GroupLabel, GroupRecord

GRID = (3, 3)
PLACE = np.zeros(GRID, np.bool_)
PLACE[1, 1] = True


def group(label: GroupLabel, rows: tuple[int, ...], *, known: bool = True) -> LabelledGroup:
    """A group at one place."""
    return LabelledGroup("g1" if known else None, label, None, rows, PLACE, PLACE)


def test_a_frame_that_the_bank_in_force_names_in_a_group_stays_in_it() -> None:
    """It is kept out at the group's place, and no threshold is drawn from it, whether it fails by that bank or not."""
    (kept,) = still_named([group("open", (0, 2))], {"g1": [1, 2], "another": [3]})
    assert kept.rows == (0, 1, 2)
    assert frames_not_learnt([kept], (), window_frames=5).tolist() == [True, True, True, False, False]
    excluded = patch_labels(np.ones((5, *GRID), np.float32), [kept], (), window_frames=5).excluded
    assert excluded.any(axis=(1, 2)).tolist() == [True, True, True, False, False]


def test_a_good_group_and_a_new_one_have_the_frames_that_the_build_found() -> None:
    """What is learnt needs no keeping out; a new group is known to no bank."""
    groups = [group("good", (0, 2)), group("open", (3,), known=False)]
    assert still_named(groups, {"g1": [1]}) == groups


def test_the_frames_that_an_earlier_bank_names_are_found_in_the_window_by_name() -> None:
    """Those that have left the window are not; a frame that could not be used has no row; labelled ones lie behind."""
    record = GroupRecord(
        id="g1",
        label="open",
        is_new=False,
        frames=3,
        share=0.1,
        box_xyxy=(0.0, 0.0, 1.0, 1.0),
        whole_frame=False,
        examples=["c"],
        members=["gone", "b", "c", "d"],
    )
    frames = UsableFrames((0, 2, 3, 4), (b"a", b"c", b"d", b"c"), ((8, 8),) * 4, 4)
    assert named_frames([record], frames, ["a", "b", "c", "d"]) == {"g1": [1, 2]}


def test_frames_join_a_group_that_waits_or_is_a_defect_and_are_kept_out_at_its_place() -> None:
    """Those of the window: labelled frames behind it are of what a person, or a build, said they are."""
    for label in ("open", "defect"):
        (known,) = joined([group(label, (0, 2))], (), [[0, 1, 2, 5]], window_frames=5)
        assert known.rows == (0, 1, 2)
        excluded = patch_labels(np.ones((5, *GRID), np.float32), [known], (), window_frames=5).excluded
        assert excluded.any(axis=(1, 2)).tolist() == [True, True, True, False, False]


def test_no_frame_joins_a_group_that_is_learnt_or_has_no_part() -> None:
    """What a person called good keeps nothing out, and pulls nothing in."""
    groups = [group("good", (0, 2)), group("no_part", (3,)), group("ignore", (4,))]
    assert joined(groups, (), [[1]] * 3, window_frames=5) == groups


def test_what_a_person_called_good_joins_nothing() -> None:
    """Neither a frame of a good group nor one with a word of its own."""
    said = Exemplars(LabelledFrames("w", "good", "feedback", None, (b"frame",)), (1, 6), PLACE)
    groups = [group("open", (0, 2)), replace(group("good", (3,)), id="g2")]
    assert joined(groups, [said], [[0, 1, 3, 4]] * 2, window_frames=5) == [
        replace(groups[0], rows=(0, 2, 4)),
        groups[1],
    ]


@pytest.mark.parametrize("label", ["open", "defect"])
def test_a_good_group_says_nothing_of_another_that_shares_a_frame(label: GroupLabel) -> None:
    """One marked ball screw was of a position called good, too: it taught the mark, and 56 of 60 new ones passed."""
    good, marked = replace(group("good", (0, 1, 2, 3)), cells=np.ones(GRID, np.bool_)), group(label, (3, 4, 5))
    masks = patch_labels(np.ones((7, *GRID), np.float32), [good, replace(marked, id="g2")], (), window_frames=7)
    assert masks.excluded[3:6, 1, 1].all()
    assert not masks.confirmed[3:6, 1, 1].any()
    assert masks.confirmed[:3].all()


def test_a_group_most_of_whose_frames_are_called_good_is_good() -> None:
    """It is a part of what a person saw."""
    good, part = replace(group("good", (0, 1, 2, 3)), cells=np.ones(GRID, np.bool_)), group("open", (1, 2))
    masks = patch_labels(np.ones((7, *GRID), np.float32), [good, replace(part, id=None)], (), window_frames=7)
    assert not masks.excluded.any()


def test_a_word_on_a_frame_goes_before_the_group_that_it_is_in() -> None:
    """A false reject is learnt, whatever waits there."""
    said = Exemplars(LabelledFrames("w", "good", "feedback", None, (b"frame",)), (1,), PLACE)
    masks = patch_labels(np.ones((5, *GRID), np.float32), [group("open", (0, 1, 2))], [said], window_frames=5)
    assert masks.excluded[:, 1, 1].tolist() == [True, False, True, False, False]


def test_a_new_group_is_known_by_the_frames_that_it_was_found_in() -> None:
    """One that joined is named, but is no example: it may pass, and later builds would not know the group by it."""
    found = MinorityGroup((0, 2), PLACE, PLACE, 2, 1.0)
    new = LabelledGroup(None, "open", found, (0, 1, 2), PLACE, PLACE)
    frames = UsableFrames((0, 1, 2), (b"a", b"b", b"c"), ((8, 8),) * 3, 3)
    geometry = FrameGeometry(mode="squash", height_px=32, width_px=32)
    (record,) = group_records([new], frames, ["a", "b", "c"], geometry)
    assert (record.members, record.examples) == (["a", "b", "c"], ["c", "a"])


FRAMES, WIDE = 5, (20, 20)
CORNER = np.zeros(WIDE, np.bool_)
CORNER[2, 3] = True
AROUND = np.zeros(WIDE, np.bool_)
AROUND[: 2 + 4 + 1, : 3 + 4 + 1] = True
"""Within four of it, at the default blur."""
WHOLE = np.ones(WIDE, np.bool_)


def at_the_corner(label: GroupLabel, rows: tuple[int, ...]) -> LabelledGroup:
    """A group at one patch of a larger grid."""
    return replace(group(label, rows), cells=CORNER, core=CORNER)


def elsewhere(
    *groups: LabelledGroup, words: tuple[Exemplars, ...] = (), inspected: np.ndarray = WHOLE, blur: float = 0.8
) -> np.ndarray:
    """Of each frame of the window, the patches that count though it is not learnt."""
    return patches_elsewhere(groups, words, inspected=inspected, window_frames=FRAMES, blur_cells=blur)


@pytest.mark.parametrize("label", ["open", "defect"])
def test_a_frame_that_is_kept_out_at_a_place_counts_by_the_patches_far_from_it(label: GroupLabel) -> None:
    """Rows of the window alone; its other frames are learnt and count whole."""
    found = elsewhere(at_the_corner(label, (0, 2, 7)))
    for row in range(FRAMES):
        assert np.array_equal(found[row], ~AROUND if row in {0, 2} else np.zeros(WIDE, np.bool_))


def test_what_scores_are_blurred_by_is_kept_from_the_threshold() -> None:
    """The wider it is, the farther a mark that the bank does not learn raises scores."""
    assert [int((~elsewhere(at_the_corner("open", (0,)), blur=blur)[0]).sum()) for blur in (0.0, 0.8, 2.0)] == [
        5 * 5,
        7 * 8,
        10 * 11,
    ]


def test_a_frame_of_two_groups_counts_by_what_is_far_from_both() -> None:
    """Of two that wait; with one that is without a part, whose frames do not count at all."""
    both = elsewhere(at_the_corner("open", (0,)), replace(at_the_corner("open", (0, 1)), cells=np.flip(CORNER)))
    assert np.array_equal(both[0], ~AROUND & ~np.flip(AROUND))
    assert np.array_equal(both[1], ~np.flip(AROUND))
    empty = elsewhere(at_the_corner("open", (0, 1)), at_the_corner("no_part", (0,)))
    assert empty.any(axis=(1, 2)).tolist() == [False, True, False, False, False]


def test_of_a_place_that_takes_half_of_what_is_inspected_too_little_is_left() -> None:
    """With what is around it; what is not inspected counts neither way. Two places may take half together."""
    half = np.zeros(WIDE, np.bool_)
    half[:, :6] = True
    assert elsewhere(replace(at_the_corner("open", (0,)), cells=half))[0].sum() == 200
    seen = WHOLE.copy()
    seen[:, 15:] = False
    assert not elsewhere(replace(at_the_corner("open", (0,)), cells=half), inspected=seen).any()
    assert np.array_equal(elsewhere(at_the_corner("open", (0,)), inspected=seen)[0], ~AROUND & seen)
    quarter, other = np.zeros(WIDE, np.bool_), np.zeros(WIDE, np.bool_)
    quarter[:, :2] = other[:, -2:] = True
    groups = [replace(at_the_corner("open", (0,)), cells=each) for each in (quarter, other)]
    assert [elsewhere(each).any() for each in groups] == [True, True]
    assert not elsewhere(*groups).any()


def test_what_is_good_or_not_at_one_place_does_not_count_in_part() -> None:
    """A good group is learnt; a place of each frame's own may be incomplete, and so may the box of an absent group."""
    assert not elsewhere(at_the_corner("good", (0,)), replace(at_the_corner("open", (1,)), by_place=False)).any()


def test_which_groups_are_at_one_place() -> None:
    """Those of the search where parts lie alike, known or not; none with places of its own, found beside or alone."""
    at_place = MinorityGroup((0, 1), CORNER, CORNER, 0, 3.0)
    own = replace(at_place, frames=(2, 3), frame_cells=np.stack([CORNER, np.flip(CORNER)]))
    labelled = LabelledFrames("g1", "open", "group", None, ())
    known = Exemplars(labelled, (0, 1, 2), CORNER)
    for found, expected in (
        ([], [False]),
        ([at_place], [True]),
        ([own], [False, False]),
        ([at_place, replace(own, frames=(2, 1))], [False]),
    ):
        groups = labelled_groups(found, [known], window_frames=9)
        assert [each.by_place for each in groups] == expected
    assert [each.by_place for each in labelled_groups([at_place, own], [], window_frames=9)] == [True, False]


def test_a_frame_on_which_a_person_has_a_word_does_not_count_in_part() -> None:
    """It was looked at: what it is was said of all of it."""
    word = Exemplars(LabelledFrames("w", "defect", "feedback", None, ()), (0, 9), WHOLE)
    found = elsewhere(at_the_corner("open", (0, 1)), words=(word,))
    assert found.any(axis=(1, 2)).tolist() == [False, True, False, False, False]
