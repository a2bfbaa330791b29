"""Groups of the few: frames that are alike among themselves at one place and unlike the many, whatever their share.

Nearest neighbours cannot see them: what repeats has near neighbours. Distances to the many see them badly: a mark adds
little to what parts differ by anyway. But the difference that a mark makes is the same in every frame that carries it,
while natural differences are not. So patches are whitened (what differs naturally everywhere counts less), centred per
place, and compared by inner products: the mean of a few carriers is a filter that only carriers answer to, and between
their answers and the others' there is a gap. A filter never judges the frames it was made of: each is answered by the
mean of the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import no_type_check

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numba import njit

from softpatch.building.outlier_factors import ProjectedGroups
from softpatch.calibration.extreme_value import gev_grid, posterior
from softpatch.discriminators.expected_nearest import NEIGHBOURHOOD, nearest_weights

COARSEST = 14
"""Places a side, at most, as for expected-nearest: a finer grid is looked at in blocks of patches."""

RIDGE = 0.03
"""Added to every variance before whitening, in units of their mean: rare directions must not outshout the others."""

MOST_SHARE = 0.4
"""A larger part of the window is not the few: beyond it nobody can say which part is the good one."""

ROUNDS = 4
"""A filter is made anew from those who answered it, this often at most; most are settled after two."""

EIGEN_SEEDS, ROW_SEEDS = 8, 12
"""Directions of the largest spread (either side), and single frames with the clearest gap, from which filters grow."""

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

MARGIN = 2
"""Patches around a place that leave the bank with it: what the network sees of a mark reaches so far."""


@dataclass(frozen=True)
class MinorityGroup:
    """Frames that are alike at a place and unlike the many.

    `cells` are the positions that differ, `core` those that differ most. `separation` is the gap between its frames and
    the others in the others' standard deviations, `sigmas` how far a frame of it would stand out were its like not
    there, `evidence` the same for all its frames in nats.
    """

    frames: tuple[int, ...]
    cells: Bool[np.ndarray, "p q"]
    core: Bool[np.ndarray, "p q"]
    representative: int
    separation: float
    clearness: float
    sigmas: float
    evidence: float
    frame_cells: Bool[np.ndarray, "g p q"] | None = None
    """The positions of each of its frames, where parts lie turned and shifted; None: `cells`, in all of them."""


@dataclass(frozen=True)
class Found:
    """A filter's answer at one place: who belongs together, and how clearly (units: the others' standard deviation)."""

    row: int
    column: int
    members: Bool[np.ndarray, "n"]
    gap: float
    distance: float


def whitened(projected: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n p q d"]:
    """Centred per position, and with the spread of all positions together made alike in every direction."""
    centred = projected - projected.mean(axis=0)
    rows = centred.reshape(-1, centred.shape[-1])
    covariance = rows.T @ rows / len(rows)
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    scale = 1 / np.sqrt(np.maximum(values, 0) + RIDGE * values.mean() + np.finfo(np.float32).tiny)
    return np.asarray(centred @ np.asarray((vectors * scale) @ vectors.T, np.float32))


def found_groups(projected: Float32[np.ndarray, "n p q d"], *, least_gap: float) -> list[Found]:
    """What stands together, place by place; the same frames may be found at many places."""
    frames, rows, columns, _ = projected.shape
    patches, step = whitened(projected), max(1, min(rows, columns) // COARSEST)
    found = []
    for row in range(0, rows, step):
        for column in range(0, columns, step):
            block = patches[:, row : row + step, column : column + step].reshape(frames, -1)
            found += _at_place(block, row, column, least_gap)
    return found


def _at_place(block: Float32[np.ndarray, "n k"], row: int, column: int, least_gap: float) -> list[Found]:
    likeness = block @ block.T
    most = int(MOST_SHARE * len(block))
    numbers, members = _grown(likeness, _seeds(likeness, most), most, ROUNDS)
    found, seen = [], set()
    for which in np.argsort(-numbers[:, 0]).tolist():
        gap, distance = numbers[which].tolist()
        if gap < least_gap:
            break
        if (key := members[which].tobytes()) not in seen:
            seen.add(key)
            found.append(Found(row, column, members[which], gap, distance))
    return found


def _seeds(likeness: Float32[np.ndarray, "n n"], most: int) -> Float32[np.ndarray, "seeds n"]:
    """First answers of every frame: along the directions of the largest spread, and to the most telling frames."""
    spread = _leading(likeness, EIGEN_SEEDS)
    off = likeness.copy()
    np.fill_diagonal(off, -np.inf)
    ordered = -np.sort(-off, axis=1)[:, : most + 1]
    spacings = (ordered[:, :-1] - ordered[:, 1:]) * np.arange(2, most + 2, dtype=np.float32)
    telling = spacings.max(axis=1) / np.maximum(np.sqrt(np.square(likeness).mean(axis=1)), np.finfo(np.float32).tiny)
    chosen = np.argsort(-telling)[:ROW_SEEDS]
    np.fill_diagonal(off, np.inf)
    return np.concatenate([spread, -spread, off[chosen]])


def _leading(likeness: Float32[np.ndarray, "n n"], count: int) -> Float32[np.ndarray, "count n"]:
    """The leading eigenvectors, nearly: a few steps of subspace iteration are enough for a first answer."""
    start = np.random.default_rng(0).standard_normal((len(likeness), min(count, len(likeness)))).astype(np.float32)
    basis = np.linalg.qr(likeness @ start)[0]
    for _ in range(4):
        basis = np.linalg.qr(likeness @ basis)[0]
    small = basis.T @ likeness @ basis
    return np.ascontiguousarray((basis @ np.linalg.eigh(small)[1]).T)


@njit(cache=True, nogil=True)
@no_type_check
def _grown(likeness, seeds, most, rounds):  # noqa: ANN001, ANN202 - numba infers them
    """Per seed: the members its filter settles on, the gap below them and their distance from the others."""
    count, frames = seeds.shape
    numbers = np.zeros((count, 2), np.float32)
    members = np.zeros((count, frames), np.bool_)
    for s in range(count):
        answer, mine = seeds[s].copy(), members[s]
        for _ in range(rounds):
            order = np.argsort(-answer)
            size = _clearest_size(answer, order, most)
            same = True
            for r in range(frames):
                same &= mine[order[r]] == (r < size)
                mine[order[r]] = r < size
            if same:
                break
            _answered(likeness, order[:size], mine, answer)
        _measured(answer, mine, numbers[s])
    return numbers, members


@njit(cache=True, nogil=True)
@no_type_check
def _clearest_size(answer, order, most):  # noqa: ANN001, ANN202 - numba infers them
    """How many answer before the clearest gap: the r-th spacing of a tail is 1 / r of the first (Renyi); r weighs."""
    best, size = np.float32(-1), 2
    for r in range(2, most + 1):
        spacing = r * (answer[order[r - 1]] - answer[order[r]])
        if spacing > best:
            best, size = spacing, r
    return size


@njit(cache=True, nogil=True)
@no_type_check
def _answered(likeness, chosen, mine, answer):  # noqa: ANN001, ANN202 - numba infers them
    """Every frame's answer to the mean of the chosen less that of the rest, itself left out of both."""
    frames, size = len(answer), len(chosen)
    answer[:] = 0
    for k in chosen:
        for j in range(frames):
            answer[j] += likeness[k, j]
    for j in range(frames):
        own = answer[j]
        if mine[j]:
            answer[j] = (own - likeness[j, j]) / (size - 1) + own / (frames - size)
        else:
            answer[j] = own / size + (own + likeness[j, j]) / (frames - size - 1)


@njit(cache=True, nogil=True)
@no_type_check
def _measured(answer, mine, out):  # noqa: ANN001, ANN202 - numba infers them
    lowest, highest = np.float32(np.inf), np.float32(-np.inf)
    inside, outside, square, size = 0.0, 0.0, 0.0, 0
    for j in range(len(answer)):
        if mine[j]:
            lowest = min(lowest, answer[j])
            inside += answer[j]
            size += 1
        else:
            highest = max(highest, answer[j])
            outside += answer[j]
            square += answer[j] * answer[j]
    others = len(answer) - size
    outside /= others
    deviation = np.sqrt(max(square / others - outside * outside, 1e-12))
    out[0] = (lowest - highest) / deviation
    out[1] = (inside / size - outside) / deviation


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
    best: Found
    representative: int


def minority_groups(projected: ProjectedGroups, factors: Float32[np.ndarray, "n p q"]) -> tuple[MinorityGroup, ...]:
    """The groups of the few of an aligned window, the clearest first; `factors` are expected-nearest's of all frames.

    Interleaved groups are looked at one after the other, as by the discriminator, so that memory holds one.
    """
    suspicion = factors.reshape(len(factors), -1).max(axis=1)
    drafts: list[_Draft] = []
    for part, group in enumerate(projected.groups):
        drafts += _drafts(_Set(part, np.arange(group.start, group.stop, group.step), projected.read(part)))
    asked = [(draft, _evidence(draft, suspicion)) for draft in _merged(drafts)]
    needed = float(np.log(WINDOWS_PER_QUESTION * factors.size))
    chosen = sorted((pair for pair in asked if _worth_asking(*pair, needed)), key=lambda pair: -pair[1])
    return tuple(_group(draft, nats, suspicion) for draft, nats in chosen)


def _worth_asking(draft: _Draft, nats: float, needed: float) -> bool:
    rare = nats >= -len(draft.frames) * np.log(RAREST) and draft.others_alike <= MANY_ALIKE
    clear = draft.clearness >= LEAST_CLEARNESS
    return bool(rare and clear and nats >= needed)


def _scale(suspicion: Float32[np.ndarray, "n"]) -> tuple[float, float]:
    """Median and lower standard deviation of log suspicion: no defect is below the median."""
    logs = np.log(np.maximum(suspicion, np.finfo(np.float32).tiny))
    median, quartile = np.quantile(logs, [0.5, 0.25]).tolist()
    return median, max((median - quartile) / 0.6745, 0.05)


def _evidence(draft: _Draft, suspicion: Float32[np.ndarray, "n"]) -> float:
    """How unlikely it is that so many ordinary frames stand out so far, in nats: the median frame counts for all.

    By the law of the other frames' suspicion, whatever other defects lie among them.
    """
    others = np.delete(suspicion, draft.frames)
    if len(others) < 2:  # noqa: PLR2004 - no law of one
        return 0.0
    known = posterior(others)
    weights = known.weights.sum(axis=1)
    standard = (float(np.log(np.median(draft.suspicion))) - known.binned.middle) / known.binned.unit
    beyond = float(gev_grid().beyond(standard) @ weights / weights.sum())
    return -len(draft.frames) * float(np.log(max(beyond, 1e-12)))


def _group(draft: _Draft, nats: float, suspicion: Float32[np.ndarray, "n"]) -> MinorityGroup:
    middle, unit = _scale(suspicion)
    return MinorityGroup(
        frames=tuple(draft.frames.tolist()),
        cells=draft.cells,
        core=draft.core,
        representative=draft.representative,
        separation=draft.best.gap,
        clearness=draft.clearness,
        sigmas=float((np.log(np.median(draft.suspicion)) - middle) / unit),
        evidence=nats,
    )


def with_margin(cells: Bool[np.ndarray, "p q"]) -> Bool[np.ndarray, "p q"]:
    """Those positions and the ones within the margin of them."""
    side = 2 * MARGIN + 1
    return np.asarray(cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8)), np.bool_)


def _drafts(its: _Set) -> list[_Draft]:
    """The groups of one set that are clearer than most of what goes together in it."""
    groups = _joined(found_groups(its.projected, least_gap=LEAST_GAP))
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


def _clearness(found: Found) -> float:
    """A filter of many frames is surer of its answer, by the square root of their number."""
    return found.gap * float(np.sqrt(found.members.sum()))


def _joined(found: Sequence[Found]) -> list[list[Found]]:
    """Places that name the same frames, together; the clearest place of each first."""
    groups: list[list[Found]] = []
    for each in sorted(found, key=lambda one: -one.gap):
        for group in groups:
            both = int((group[0].members & each.members).sum())
            if both >= SAME * int((group[0].members | each.members).sum()):
                group.append(each)
                break
        else:
            groups.append([each])
    return groups


def _draft(its: _Set, places: list[Found], clearness: float) -> _Draft:
    """The members that most of its clear places name, weighed by their gaps, and all about them."""
    _, rows, columns, _ = its.projected.shape
    strong = [each for each in places if each.gap >= STRONG * places[0].gap]
    gaps = np.array([each.gap for each in strong])
    members = np.average([each.members for each in strong], axis=0, weights=gaps) > SAME
    if members.sum() < 2:  # noqa: PLR2004 - a group has two
        members = places[0].members
    cells = _cells([each for each in places if each.gap >= WEAK * places[0].gap], (rows, columns))
    alone = np.stack([_without_its_like(its.projected, members, at.row, at.column) for at in places[:PLACES]])
    rest = np.stack([_without_as_many(its.projected, members, at.row, at.column) for at in places[:PLACES]])
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
        best=places[0],
        representative=int(numbers[typical]),
    )


def _cells(places: Sequence[Found], grid: tuple[int, int]) -> Bool[np.ndarray, "p q"]:
    """The positions that those places stand for."""
    step = max(1, min(grid) // COARSEST)
    cells = np.zeros(grid, np.bool_)
    for each in places:
        cells[each.row : each.row + step, each.column : each.column + step] = True
    return cells


def _without_its_like(
    projected: Float32[np.ndarray, "n p q d"], members: Bool[np.ndarray, "n"], row: int, column: int
) -> Float32[np.ndarray, "g"]:
    """Expected-nearest of the members' patches at this position, as if no other member were in the window."""
    squared = _squared_distances(projected, members, ~members, row, column)
    return _expected_nearest(squared, leave_out=0)


def _without_as_many(
    projected: Float32[np.ndarray, "n p q d"], members: Bool[np.ndarray, "n"], row: int, column: int
) -> Float32[np.ndarray, "o"]:
    """The same of the other frames, as if so many of their nearest as a member has were not in the window.

    Where a window consists of many such groups (six finishes, nine angles), each of them is alone without its like, and
    none is of the few.
    """
    squared = _squared_distances(projected, ~members, np.ones_like(members), row, column)
    squared[np.arange(len(squared)), np.flatnonzero(~members)] = 0
    return _expected_nearest(squared, leave_out=int(members.sum()))


def _squared_distances(
    projected: Float32[np.ndarray, "n p q d"],
    ours: Bool[np.ndarray, "n"],
    theirs: Bool[np.ndarray, "n"],
    row: int,
    column: int,
) -> Float32[np.ndarray, "a b"]:
    """From our frames' patches at this position to the nearest patch of each of their frames within one position."""
    rows = slice(max(0, row - NEIGHBOURHOOD), row + NEIGHBOURHOOD + 1)
    around = (rows, slice(max(0, column - NEIGHBOURHOOD), column + NEIGHBOURHOOD + 1))
    mine = projected[ours, row, column]
    keys = projected[theirs][:, *around].reshape(int(theirs.sum()), -1, projected.shape[-1])
    centre = mine.mean(axis=0)
    mine, keys = mine - centre, keys - centre
    products = (mine @ keys.reshape(-1, keys.shape[-1]).T).reshape(len(mine), *keys.shape[:2])
    squared = np.square(mine).sum(axis=1)[:, None, None] + np.square(keys).sum(axis=2)[None] - 2 * products
    return np.asarray(np.maximum(squared.min(axis=2), 0))


def _expected_nearest(squared: Float32[np.ndarray, "a b"], *, leave_out: int) -> Float32[np.ndarray, "a"]:
    """Expected-nearest by these squared distances, the nearest so many left out."""
    weights = nearest_weights(squared.shape[1] - leave_out)
    nearest = np.sort(squared, axis=1)[:, leave_out : leave_out + len(weights)]
    return np.asarray(np.sqrt(nearest) @ weights, np.float32)


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
        best=one.best,
        representative=one.representative,
    )
