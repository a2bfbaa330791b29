"""What a bank's manifest says of the groups in its window."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from softpatch.building.label_masks import LabelledGroup
from softpatch.building.window import UsableFrames
from softpatch.images.geometry import Geometry, cells_box
from softpatch.manifest import GroupRecord

MOST_EXAMPLES = 8

WHOLE_FRAME_SHARE = 0.5
"""Share of the grid from which on a group is about the whole frame: another variant, or no part."""

ID_DIGITS = 8


def group_records(
    groups: Sequence[LabelledGroup], frames: UsableFrames, frame_names: Sequence[str], geometry: Geometry
) -> list[GroupRecord]:
    """A record of every group, as the labels have it; new ones get an id of their most typical frame and place."""
    return [_record(each, frames, frame_names, geometry) for each in groups]


def named_frames(
    groups: Sequence[GroupRecord], frames: UsableFrames, frame_names: Sequence[str]
) -> dict[str, list[int]]:
    """By the id of each group of an earlier bank, the frames of this window that it names in it."""
    rows = {frame_names[source]: row for row, source in enumerate(frames.sources[: frames.window_frames])}
    return {each.id: [rows[name] for name in each.members if name in rows] for each in groups}


def _record(each: LabelledGroup, frames: UsableFrames, frame_names: Sequence[str], geometry: Geometry) -> GroupRecord:
    members = [row for row in each.rows if row < frames.window_frames]
    examples = _examples(each, _typical_members(each, members))
    return GroupRecord(
        id=each.id or _new_id(frames.digests[examples[0]], each.core),
        label=each.label,
        is_new=each.id is None,
        frames=len(members),
        share=len(members) / frames.window_frames,
        box_xyxy=cells_box(each.core, geometry=geometry, frame_wh=frames.frame_wh),
        whole_frame=bool(each.cells.mean() >= WHOLE_FRAME_SHARE),
        examples=[frame_names[frames.sources[row]] for row in examples],
        members=[frame_names[frames.sources[row]] for row in members],
    )


def _typical_members(each: LabelledGroup, members: Sequence[int]) -> Sequence[int]:
    """Of a new group, the frames that it was found in: later builds know it by them, and what only joined may pass."""
    if each.id is not None or each.group is None:
        return members
    return [row for row in members if row in each.group.frames]


def _examples(each: LabelledGroup, members: Sequence[int]) -> list[int]:
    """The most typical member, then others spread over the window."""
    spread = np.linspace(0, max(0, len(members) - 1), min(len(members), MOST_EXAMPLES)).round().astype(int)
    examples = [members[place] for place in dict.fromkeys(spread.tolist())] if members else []
    if each.group is not None and each.group.representative in members:
        first = each.group.representative
        examples = [first, *(row for row in examples if row != first)]
    return examples[:MOST_EXAMPLES]


def _new_id(digest: bytes, cells: Bool[np.ndarray, "p q"]) -> str:
    return "g" + hashlib.sha256(digest + np.packbits(cells).tobytes()).hexdigest()[:ID_DIGITS]
