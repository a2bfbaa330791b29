"""Groups of the few: frames that are alike among themselves at one place and unlike the many, whatever their share.

Nearest neighbours cannot tell them: what repeats has near neighbours. Distances to the many tell them badly: a mark
adds little to what parts differ by anyway. Matched filters do (softpatch/building/matched_filters.py). What they find
is a group where it is clearer than what goes together by chance, and where its frames would fail were they not learnt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from softpatch.building.grid_margin import with_margin
from softpatch.building.left_out_suspicion import without_as_many, without_members
from softpatch.building.matched_filters import COARSEST, FilterResponse, filter_responses
from softpatch.building.projection import ProjectedGroups
from softpatch.calibration.extreme_value import gev_grid, posterior

LEAST_GAP = 1.0
"""Between the last of a group and the first of the others, in the others' standard deviations: what has less is not
even looked at. A continuous spread (light, a shift) has none."""

TENTH = 0.9
LEAST_CLEARNESS = 2.0
"""How many times clearer than a window's own tenth clearest draft a group must be. Every window has frames that go
together, by chance or for reasons of their own: up to 2 times on clean impeller, tile and simulated rings, 3 to 17 for
most painted marks, 1.6 for the faintest. Not derived but measured; evidence has to do the rest."""

STRONG = 0.5
"""The same, for a place to have a say in who belongs to the group, and to be shown as the place where it differs."""

MANY_ALIKE = 0.05
"""Share of the other frames that may stand out as far, as many of their own nearest left out: where more do, the window
consists of groups, and none of them is of the few. Measured 0.00 for painted marks, 0.09 to 0.99 for one finish of
six."""

RAREST = 0.1
"""A group's typical frame, its like left out, must be among the tenth of frames that stand out most: below it would
hardly fail were it not learnt, so that there is nothing to ask."""

WEAK = 0.25
"""Of the gap at a group's clearest place, what another place needs to be part of where it is: the frames of a group
hang together a little at many places (one batch, one light), and only where they differ plainly are they left out."""

PLACES = 8
"""Of a group, the clearest, at which its frames are looked at without their like."""

WINDOWS_PER_QUESTION = 20
"""By chance alone a window in so many may ask one question."""

SAME = 0.5
"""Of the frames that two places name together, the share that both name, for them to be one group; and the least cosine
of what two groups differ by, for them to be one group of two sets of frames."""


@dataclass(frozen=True)
class MinorityGroup:
    """Frames that are alike at a place and unlike the many.

    `cells` are the positions that differ, `core` those that differ most. `clearness` is the gap between its frames and
    the others, in the others' standard deviations, times the root of its size; by place, over that of other drafts.
    """

    frames: tuple[int, ...]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    representative: int
    clearness: float
    frame_cells: Bool[np.ndarray, "g p q"] | None = None
    """The positions of each of its frames, where parts lie turned and shifted; None: `cells`, in all of them."""


@dataclass(frozen=True)
class _Set:
    """Interleaved frames of a window, looked at together: `which` are their numbers in the window."""

    part: int
    which: Int64[np.ndarray, "m"]
    projected: Float32[np.ndarray, "m p q d"]


@dataclass(frozen=True)
class _Draft:
    """A group of one set before it is decided whether to ask: `differs` is its mean less the others' mean."""

    part: int
    frames: Int64[np.ndarray, "g"]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    differs: Float32[np.ndarray, "p q d"]
    suspicion: Float32[np.ndarray, "g"]
    others_alike: float
    clearness: float
    representative: int


def minority_groups(projected: ProjectedGroups, factors: Float32[np.ndarray, "n p q"]) -> tuple[MinorityGroup, ...]:
    """The groups of the few of an aligned window, the clearest first; `factors` are expected-nearest's of all frames.

    Interleaved groups are looked at one after the other, as by the discriminator, so that memory holds one.
    """
    suspicion = factors.reshape(len(factors), -1).max(axis=1)
    drafts: list[_Draft] = []
    for part, group in enumerate(projected.groups):
        drafts += _drafts(_Set(part, np.arange(group.start, group.stop, group.step), projected.read(part)))
    rated = [(draft, _evidence(draft, suspicion)) for draft in _merged(drafts)]
    needed = float(np.log(WINDOWS_PER_QUESTION * factors.size))
    chosen = sorted((pair for pair in rated if _worth_asking(*pair, needed)), key=lambda pair: -pair[1])
    return tuple(_group(draft) for draft, _ in chosen)


def _worth_asking(draft: _Draft, nats: float, needed: float) -> bool:
    rare = nats >= -len(draft.frames) * np.log(RAREST) and draft.others_alike <= MANY_ALIKE
    clear = draft.clearness >= LEAST_CLEARNESS
    return bool(rare and clear and nats >= needed)


def _evidence(draft: _Draft, suspicion: Float32[np.ndarray, "n"]) -> float:
    """How unlikely it is that so many ordinary frames stand out so far, in nats: the median frame counts for all.

    By the distribution of the other frames' suspicion, which other defects among them hardly move.
    """
    others = np.delete(suspicion, draft.frames)
    if len(others) < 2:  # noqa: PLR2004 - no distribution of one
        return 0.0
    known = posterior(others)
    weights = known.weights.sum(axis=1)
    standard = (float(np.log(np.median(draft.suspicion))) - known.binned.middle) / known.binned.unit
    beyond = float(gev_grid().beyond(standard) @ weights / weights.sum())
    return -len(draft.frames) * float(np.log(max(beyond, 1e-12)))


def _group(draft: _Draft) -> MinorityGroup:
    return MinorityGroup(
        frames=tuple(draft.frames.tolist()),
        cells=draft.cells,
        core=draft.core,
        representative=draft.representative,
        clearness=draft.clearness,
    )


def _drafts(its: _Set) -> list[_Draft]:
    """The groups of one set that are clearer than most of what goes together in it."""
    groups = _joined(filter_responses(its.projected, least_gap=LEAST_GAP))
    if not groups:
        return []
    clearness = np.array([max(_clearness(each) for each in group) for group in groups])
    relative = clearness / _ordinary(clearness)
    return [_draft(its, group, clear) for group, clear in zip(groups, relative.tolist(), strict=True) if clear >= 1]


def _ordinary(clearness: Float64[np.ndarray, "drafts"]) -> Float64[np.ndarray, "drafts"]:
    """Per draft, how clear the clearest tenth of the others is; where there are none, as a pair with the least gap."""
    least = LEAST_GAP * float(np.sqrt(2))
    others = [np.delete(clearness, place) for place in range(len(clearness))]
    return np.array([max(least, float(np.quantile(some, TENTH))) if len(some) else least for some in others])


def _clearness(found: FilterResponse) -> float:
    """A filter of many frames is surer of its answer, by the square root of their number."""
    return found.gap * float(np.sqrt(found.members.sum()))


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


def _draft(its: _Set, places: list[FilterResponse], clearness: float) -> _Draft:
    """The members that most of its clear places name, weighed by their gaps, and all about them."""
    _, rows, columns, _ = its.projected.shape
    strong = [each for each in places if each.gap >= STRONG * places[0].gap]
    gaps = np.array([each.gap for each in strong])
    members = np.average([each.members for each in strong], axis=0, weights=gaps) > SAME
    if members.sum() < 2:  # noqa: PLR2004 - a group has two
        members = places[0].members
    cells = _cells([each for each in places if each.gap >= WEAK * places[0].gap], (rows, columns))
    alone = np.stack([without_members(its.projected, members, at.row, at.column) for at in places[:PLACES]])
    rest = np.stack([without_as_many(its.projected, members, at.row, at.column) for at in places[:PLACES]])
    differs = its.projected[members].mean(axis=0) - its.projected[~members].mean(axis=0)
    suspicion = alone.max(axis=0)
    typical = np.argsort(suspicion)[len(suspicion) // 2]
    numbers = its.which[members]
    return _Draft(
        part=its.part,
        frames=numbers,
        cells=cells,
        core=_cells(strong, (rows, columns)),
        differs=differs,
        suspicion=suspicion,
        others_alike=float((rest.max(axis=0) >= suspicion[typical]).mean()),
        clearness=clearness,
        representative=int(numbers[typical]),
    )


def _cells(places: Sequence[FilterResponse], grid: tuple[int, int]) -> Bool[np.ndarray, "p q"]:
    """The positions that those places stand for."""
    step = max(1, min(grid) // COARSEST)
    cells = np.zeros(grid, np.bool_)
    for each in places:
        cells[each.row : each.row + step, each.column : each.column + step] = True
    return cells


def _merged(drafts: list[_Draft]) -> list[_Draft]:
    """Groups of several sets that differ from the many in the same way, and of one set that share frames, as one."""
    merged: list[_Draft] = []
    for draft in sorted(drafts, key=lambda one: -one.clearness):
        for place, known in enumerate(merged):
            if _same(known, draft):
                merged[place] = _together(known, draft)
                break
        else:
            merged.append(draft)
    return merged


def _same(one: _Draft, other: _Draft) -> bool:
    if not (with_margin(one.cells) & other.cells).any():
        return False
    if one.part == other.part:
        both = len(np.intersect1d(one.frames, other.frames))
        return both >= SAME * min(len(one.frames), len(other.frames))
    cells = one.cells & other.cells if (one.cells & other.cells).any() else one.cells | other.cells
    first, second = one.differs[cells].ravel(), other.differs[cells].ravel()
    return float(first @ second) >= SAME * float(np.linalg.norm(first) * np.linalg.norm(second))


def _together(one: _Draft, other: _Draft) -> _Draft:
    new = ~np.isin(other.frames, one.frames)
    return _Draft(
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
