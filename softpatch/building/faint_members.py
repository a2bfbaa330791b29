"""The faintest frames of a group of the few, which the gap it was told by leaves out.

Growth ends a group at the largest gap, and that lies above the faintest of a mark's frames. Learnt, these would vouch
for the mark. But they respond to the group's filter as no other frame does, and once it is known that there is a group
no gap is asked for. None of them is an example by which later builds know the group.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.label_masks import JOINED, LabelledGroup
from softpatch.building.matched_filters import MOST_SHARE, ROUNDS, filter_response, whitened
from softpatch.building.projection import ProjectedGroups

LEAST_RESPONSE = 3.5
"""In standard deviations of the others, by the response itself and for its patches' length: a scattered defect is far
in every direction, so that it responds to any filter, but is like none."""


def faint_members(projected: ProjectedGroups, groups: Sequence[LabelledGroup]) -> list[set[int]]:
    """Of each group the frames that belong to it though they are not among its rows.

    For groups that wait or were called a defect and were found by place in this window; none for others, such as those
    that only the bank in force found. None in an interleaved set of the window that holds fewer than two of its frames,
    or more than two fifths.
    """
    found: list[set[int]] = [set() for _ in groups]
    asked = [each.label in JOINED and each.group is not None and each.group.frame_cells is None for each in groups]
    if not any(asked):
        return found
    for frames, patches in projected:
        white = whitened(patches)
        for number in np.flatnonzero(asked).tolist():
            group = groups[number].group
            members = np.isin(frames, groups[number].rows)
            if group is not None and 1 < members.sum() <= MOST_SHARE * len(members):
                block = white[:, group.core].reshape(len(white), -1)
                found[number].update(np.array(frames)[_grown(block, members) & ~members].tolist())
    return found


def _grown(block: Float32[np.ndarray, "n k"], members: Bool[np.ndarray, "n"]) -> Bool[np.ndarray, "n"]:
    """The members, and all that respond as they do: with those that join the filter is surer of the next."""
    likeness = block @ block.T
    length = np.sqrt(np.maximum(np.diag(likeness), np.finfo(np.float32).tiny))
    for _ in range(ROUNDS):
        response = filter_response(likeness, members)
        alike = np.minimum(_standard(response, members), _standard(response / length, members))
        joined = members | (alike > LEAST_RESPONSE)
        if joined.sum() > MOST_SHARE * len(members) or (joined == members).all():
            break
        members = joined
    return members


def _standard(response: Float32[np.ndarray, "n"], members: Bool[np.ndarray, "n"]) -> Float32[np.ndarray, "n"]:
    """Above the others' median, in their standard deviations by the lower half: faint members do not widen it.

    Zero where no other is below the median, as of frames that are copies.
    """
    others = response[~members]
    middle = np.median(others)
    deviation = np.sqrt(2 * np.mean(np.square(np.minimum(others - middle, 0))))
    return np.asarray((response - middle) / deviation if deviation else np.zeros_like(response))
