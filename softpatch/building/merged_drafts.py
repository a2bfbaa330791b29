"""Drafts that are one group: found in several sets of a window's frames, or twice in one."""

from collections.abc import Iterable

import numpy as np

from softpatch.building.grid_margin import with_margin
from softpatch.building.group_drafts import SAME, STRONG, GroupDraft


def merged_drafts(drafts: Iterable[GroupDraft]) -> list[GroupDraft]:
    """Groups of several sets that differ from the many in the same way, and of one set that share frames, as one."""
    merged: list[GroupDraft] = []
    for draft in sorted(drafts, key=lambda one: -one.clearness):
        for place, known in enumerate(merged):
            if _same(known, draft):
                merged[place] = _together(known, draft)
                break
        else:
            merged.append(draft)
    return merged


def _same(one: GroupDraft, other: GroupDraft) -> bool:
    if not (with_margin(one.cells) & other.cells).any():
        return False
    if one.part == other.part:
        both = len(np.intersect1d(one.frames, other.frames))
        return both >= SAME * min(len(one.frames), len(other.frames))
    cells = one.cells & other.cells if (one.cells & other.cells).any() else one.cells | other.cells
    first, second = one.differs[cells].ravel(), other.differs[cells].ravel()
    return float(first @ second) >= SAME * float(np.linalg.norm(first) * np.linalg.norm(second))


def _together(one: GroupDraft, other: GroupDraft) -> GroupDraft:
    """Both as one; a draft of the same set that is much fainter is the clearer one and bystanders, which stay out."""
    if one.part == other.part and other.clearness < STRONG * one.clearness:
        return one
    new = ~np.isin(other.frames, one.frames)
    return GroupDraft(
        part=one.part,
        frames=np.concatenate([one.frames, other.frames[new]]),
        cells=one.cells | other.cells,
        core=one.core | other.core,
        differs=one.differs,
        suspicion=np.concatenate([one.suspicion, other.suspicion[new]]),
        others_alike=one.others_alike,
        clearness=float(np.hypot(one.clearness, other.clearness)) if new.all() else one.clearness,
        representative=one.representative,
    )
