"""Drafts that are one group: found in several sets of a window's frames, or twice in one."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from softpatch.building.grid_margin import with_margin
from softpatch.building.group_drafts import SAME, STRONG, GroupDraft


def merged_drafts(drafts: Iterable[GroupDraft], stands_out: Callable[[GroupDraft], bool]) -> list[GroupDraft]:
    """Groups of several sets that differ from the many in the same way, and of one set that share frames, as one.

    Of one set a much fainter draft is often the clearer one and bystanders: what it adds must stand out by itself. A
    large one shares half of a small one's frames by chance, too (one finish of six and six marked frames of all six),
    so one that is not of the few adds nothing.
    """
    merged: list[GroupDraft] = []
    for draft in sorted(drafts, key=lambda one: -one.clearness):
        for place, known in enumerate(merged):
            if _same(known, draft):
                if _has_a_say(draft, known, stands_out):
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


def _has_a_say(draft: GroupDraft, known: GroupDraft, stands_out: Callable[[GroupDraft], bool]) -> bool:
    """Of the few by the share of the others that stand out as far; how far it reaches does not count here."""
    if draft.part != known.part:
        return True
    if not draft.of_the_few:
        return False
    if draft.clearness >= STRONG * known.clearness:
        return True
    new = ~np.isin(draft.frames, known.frames)
    return bool(new.any()) and stands_out(replace(draft, frames=draft.frames[new], suspicion=draft.suspicion[new]))


def _together(one: GroupDraft, other: GroupDraft) -> GroupDraft:
    new = ~np.isin(other.frames, one.frames)
    others = (other.clearness, other.spacing, other.reach) if new.all() else (0.0, 0.0, 0.0)
    return GroupDraft(
        part=one.part,
        frames=np.concatenate([one.frames, other.frames[new]]),
        cells=one.cells | other.cells,
        core=one.core | other.core,
        differs=one.differs,
        suspicion=np.concatenate([one.suspicion, other.suspicion[new]]),
        others_alike=one.others_alike,
        alike_per_member=one.alike_per_member,
        clearness=float(np.hypot(one.clearness, others[0])),
        spacing=float(np.hypot(one.spacing, others[1])),
        reach=float(np.hypot(one.reach, others[2])),
        representative=one.representative,
    )
