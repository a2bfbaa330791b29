"""Drafts of groups: what the filters of one set of frames name together, before it is decided whether to ask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.left_out_suspicion import left_out_suspicion
from softpatch.building.matched_filters import COARSEST, FilterResponse

LEAST_GAP = 1.0
"""Between the last of a group and the first of the others, in the others' standard deviations: what has less is not
even looked at. A continuous spread (light, a shift) has none."""

TENTH = 0.9
"""Quantile of the other drafts' measure that a draft's is divided by: their largest tenth begins there."""

ROOT_POWER, SIZE_POWER = 0.5, 1.0
"""Powers of the size. A filter of many frames is surer of its answer, by the root of their number: clearness, the gap
times it, says which draft to believe where two name the same frames. But gaps that chance makes shrink with the size
itself, as the r-th spacing of a tail is 1 / r of the first (Renyi): spacing, the gap times that, says which is worth a
question. A gap is measured from the faintest frame of a group; reach, the lead times the root, from its typical one."""

STRONG = 0.5
"""Of the gap at a group's clearest place, what another place needs to have a say in who belongs to the group, and to be
shown as the place where it differs."""

WEAK = 0.25
"""The same, for a place to be part of where the group is: the frames of a group
hang together a little at many places (one batch, one light), and only where they differ plainly are they left out."""

PLACES = 8
"""Of a group, the clearest, at which its frames are looked at without their like."""

SAME = 0.5
"""Of the frames that two places name together, the share that both name, for them to be one group; and the least cosine
of what two groups differ by, for them to be one group of two sets of frames."""


MANY_ALIKE = 0.05
"""Share of the other frames that may stand out as far, as many of their own nearest left out: where more do, the window
consists of groups, and none of them is of the few. Measured 0.00 for most painted marks, 0.13 where a faint one is on a
third of the frames, 0.09 to 0.99 for one finish of six."""


@dataclass(frozen=True)
class FrameSet:
    """Interleaved frames of a window, looked at together: `which` are their numbers in the window."""

    part: int
    which: Int64[np.ndarray, "m"]
    projected: Float32[np.ndarray, "m p q d"]


@dataclass(frozen=True)
class GroupDraft:
    """A group of one set before it is decided whether to ask: `differs` is its mean less the others' mean.

    `clearness`, `spacing` and `reach` are in units of what the clearest tenth of the other drafts has. `others_alike`
    is the share of the other frames that stand out as far, `alike_per_member` how many they are for each of its own.
    """

    part: int
    frames: Int64[np.ndarray, "g"]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    differs: Float32[np.ndarray, "p q d"]
    suspicion: Float32[np.ndarray, "g"]
    others_alike: float
    alike_per_member: float
    clearness: float
    spacing: float
    reach: float
    representative: int

    @property
    def of_the_few(self) -> bool:
        """Whether few of the other frames stand out as far once their like is left out."""
        return self.others_alike <= MANY_ALIKE


@dataclass(frozen=True)
class AskedGroup:
    """A group that an earlier build asked about: `rows` are those of its frames that are read again."""

    rows: tuple[int, ...]
    kept_out: bool

    def held_by(self, frames: Int64[np.ndarray, "g"]) -> bool:
        """Whether these frames are the group: they are half of its own, or more."""
        return bool(self.rows) and float(np.isin(self.rows, frames).mean()) >= SAME


def group_drafts(
    its: FrameSet, responses: Sequence[FilterResponse], asked: Sequence[AskedGroup] = ()
) -> list[GroupDraft]:
    """The groups of one set that are clearer than most of what goes together in it by chance: no known group does."""
    groups = _joined(responses)
    if not groups:
        return []
    here = [replace(each, rows=tuple(row for row in each.rows if row in its.which)) for each in asked]
    by_chance = np.array([not any(each.held_by(its.which[group[0].members]) for each in here) for group in groups])
    gaps = [np.array([each.gap for each in group]) for group in groups]
    leads = [np.array([each.lead for each in group]) for group in groups]
    sizes = [np.array([each.members.sum() for each in group]) for group in groups]
    clearness, spacing, reach = (
        _over_others([value * size**power for value, size in zip(values, sizes, strict=True)], power, by_chance)
        for values, power in ((gaps, ROOT_POWER), (gaps, SIZE_POWER), (leads, ROOT_POWER))
    )
    measured = zip(groups, clearness, spacing, reach, strict=True)
    return [_draft(its, group, clear, apart, far) for group, clear, apart, far in measured if clear >= 1]


def _joined(found: Sequence[FilterResponse]) -> list[list[FilterResponse]]:
    """Places that name the same frames, together; the clearest place of each first."""
    groups: list[list[FilterResponse]] = []
    for each in sorted(found, key=lambda one: -one.gap):
        for group in groups:
            both = int((group[0].members & each.members).sum())
            if both >= SAME * int((group[0].members | each.members).sum()):
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def _over_others(at_places: Sequence[np.ndarray], power: float, by_chance: Bool[np.ndarray, "groups"]) -> list[float]:
    """Of each draft, the largest value of its places, over what the others' largest tenth begins with.

    Others are those that may go together by chance. Where there are none, over that of a pair with the least gap.
    """
    largest = np.array([values.max() for values in at_places])
    least = LEAST_GAP * 2**power
    others = [np.delete(largest, place)[np.delete(by_chance, place)] for place in range(len(largest))]
    tenth = [max(least, float(np.quantile(some, TENTH))) if len(some) else least for some in others]
    return (largest / np.array(tenth)).tolist()  # type: ignore[no-any-return]


def _draft(its: FrameSet, places: list[FilterResponse], clearness: float, spacing: float, reach: float) -> GroupDraft:
    """The members that most of its clear places name, weighed by their gaps, and all about them."""
    _, rows, columns, _ = its.projected.shape
    strong = [each for each in places if each.gap >= STRONG * places[0].gap]
    gaps = np.array([each.gap for each in strong])
    members = np.average([each.members for each in strong], axis=0, weights=gaps) > SAME
    if members.sum() < 2:  # noqa: PLR2004 - a group has two
        members = places[0].members
    cells = _cells([each for each in places if each.gap >= WEAK * places[0].gap], (rows, columns))
    core = _cells(strong, (rows, columns))
    differs = its.projected[members].mean(axis=0) - its.projected[~members].mean(axis=0)
    left_out = [left_out_suspicion(its.projected, members, at.row, at.column) for at in places[:PLACES]]
    suspicion = np.stack([each.members for each in left_out]).max(axis=0)
    others = np.stack([each.others for each in left_out]).max(axis=0)
    typical = np.argsort(suspicion)[len(suspicion) // 2]
    numbers = its.which[members]
    alike = others >= suspicion[typical]
    return GroupDraft(
        part=its.part,
        frames=numbers,
        cells=cells,
        core=core,
        differs=differs,
        suspicion=suspicion,
        others_alike=float(alike.mean()),
        alike_per_member=float(alike.sum() / members.sum()),
        clearness=clearness,
        spacing=spacing,
        reach=reach,
        representative=int(numbers[typical]),
    )


def _cells(places: Sequence[FilterResponse], grid: tuple[int, int]) -> Bool[np.ndarray, "p q"]:
    """The positions that those places stand for."""
    step = max(1, min(grid) // COARSEST)
    cells = np.zeros(grid, np.bool_)
    for each in places:
        cells[each.row : each.row + step, each.column : each.column + step] = True
    return cells
