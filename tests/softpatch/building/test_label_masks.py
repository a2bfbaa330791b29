"""Which frames of a window belong to a known group."""

from __future__ import annotations

import numpy as np

from softpatch.building.group_records import named_frames
from softpatch.building.label_masks import LabelledGroup, frames_not_learnt, patch_labels, still_named
from softpatch.building.window import UsableFrames
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
