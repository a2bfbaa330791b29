"""Which drafts are one group, and whose frames and places that group has."""

import numpy as np
import pytest

from softpatch.building.group_drafts import GroupDraft
from softpatch.building.merged_drafts import merged_drafts


def draft(
    frames: list[int], *, clearness: float, part: int = 0, column: int = 0, others_alike: float = 0.0
) -> GroupDraft:
    """A draft of those frames that differs at one place, each of its frames as suspicious as its number."""
    cells = np.zeros((4, 4), np.bool_)
    cells[0, column] = True
    differs = np.zeros((4, 4, 2), np.float32)
    differs[cells] = 1
    return GroupDraft(
        part=part,
        frames=np.array(frames, np.int64),
        cells=cells,
        core=cells,
        differs=differs,
        suspicion=np.array(frames, np.float32),
        others_alike=others_alike,
        alike_per_member=0.0,
        clearness=clearness,
        spacing=clearness,
        reach=clearness,
        representative=frames[0],
    )


def nothing(_: GroupDraft) -> bool:
    """No frames stand out by themselves."""
    return False


@pytest.mark.parametrize(("fainter", "named"), [(3.9, range(12)), (2.1, range(12)), (1.9, range(8))])
def test_a_draft_has_a_say_in_who_belongs_to_a_clearer_one_from_half_its_clearness_on(
    fainter: float, named: range
) -> None:
    """A mark on 8 of 200 parts was named by itself; a faint draft of 6 of them and 8 bystanders made it go unasked."""
    drafts = [draft([*range(2, 12)], clearness=fainter, column=1), draft([*range(8)], clearness=4.0)]
    (merged,) = merged_drafts(drafts, nothing)
    assert sorted(merged.frames.tolist()) == list(named)
    assert sorted(merged.suspicion.tolist()) == list(named)
    assert merged.cells[0].tolist() == [True, len(named) > 8, False, False]


@pytest.mark.parametrize("clearness", [4.0, 2.1, 1.9])
def test_a_draft_that_is_not_of_the_few_adds_nothing(clearness: float) -> None:
    """Ten ball screws of one position, with 38 of five positions, were a question about 39."""
    drafts = [draft([*range(2, 12)], clearness=clearness, others_alike=0.06), draft([*range(8)], clearness=4.1)]
    (merged,) = merged_drafts(drafts, lambda _: True)
    assert sorted(merged.frames.tolist()) == list(range(8))


def test_what_a_fainter_draft_adds_is_no_bystander_where_it_stands_out_by_itself() -> None:
    """Asked of the frames that are new, and of them alone."""
    drafts = [draft([*range(2, 12)], clearness=1.9), draft([*range(8)], clearness=4.0)]
    asked: list[list[int]] = []

    def stands_out(added: GroupDraft) -> bool:
        asked.append(added.frames.tolist())
        return added.suspicion.tolist() == [8, 9, 10, 11]

    (merged,) = merged_drafts(drafts, stands_out)
    assert asked == [[8, 9, 10, 11]]
    assert sorted(merged.frames.tolist()) == list(range(12))


def test_a_fainter_draft_without_frames_of_its_own_changes_nothing() -> None:
    """Nor does its place count."""
    (merged,) = merged_drafts([draft([1, 2], clearness=1.0, column=1), draft([0, 1, 2], clearness=4.0)], nothing)
    assert merged.frames.tolist() == [0, 1, 2]
    assert merged.cells[0].tolist() == [True, False, False, False]


def test_of_another_set_a_faint_draft_of_the_same_difference_is_part_of_the_group() -> None:
    """Its frames are all new, and no bystanders of the clear one."""
    (merged,) = merged_drafts([draft([0, 2, 4], clearness=4.0), draft([1, 3], clearness=1.0, part=1)], nothing)
    assert sorted(merged.frames.tolist()) == [0, 1, 2, 3, 4]
    assert merged.clearness == merged.spacing == merged.reach == pytest.approx(np.hypot(4.0, 1.0))


def test_drafts_that_share_fewer_than_half_of_their_frames_are_two_groups() -> None:
    """One frame may carry two marks."""
    found = merged_drafts([draft([0, 1, 2, 3], clearness=3.0), draft([3, 4, 5, 6], clearness=4.0)], nothing)
    assert [each.frames.tolist() for each in found] == [[3, 4, 5, 6], [0, 1, 2, 3]]
