"""Groups of the few where parts lie turned and shifted: frames with a like patch anywhere, that lie unlike each other.

A patch is compared with the nearest patch of some other frames, wherever it lies; what is left is whitened. A mark is
among the few most unusual patches of its frame, and points the same way in all that carry it. But so does whatever a
pose shows of a part: most patches that are alike come from frames that lie alike. So only frames that lie differently
answer for each other, and a group whose frames lie alike is a pose, not a mark.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.group_drafts import LEAST_GAP, SAME
from softpatch.building.matched_filters import COARSEST, MOST_SHARE, RIDGE
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.projection import ProjectedGroups

FRAMES_AT_ONCE = 8
"""Compared with a reference frame together: their products then stay in a core's own cache."""

REFERENCES = 24
"""Frames, evenly spaced over the first interleaved group, whose nearest patches say what is usual."""

WHITENED = 64
"""Frames, nearly, whose differences say how patches differ: their covariance needs no more."""

CANDIDATES = 4
"""Most unusual patches of a frame that are looked at: a painted mark was the first or second in half of its frames."""

FIRST = 3
"""Frames that a candidate starts with: itself and those of the two likest candidates."""

ROUNDS = 5
"""Members and their patches are chosen anew this often."""

POSE_GRID = 7
"""Means of so many blocks a side tell how a part lies."""

NEAR = 0.7
"""Share of pairs of frames that are less alike as a whole, from which on two frames lie alike."""

MOST_ALIKE = 0.62
"""The same share, as mean over a group's pairs, up to which a group is no pose: 0.5 by chance, above
0.75 for most poses."""

LEAST_CLEARNESS = 3.4
"""Gap between members and others, in the others' standard deviations, times the root of the group's size: at most 3.2
in clean windows of screws, mostly 3.5 to 14 for painted marks. Not derived but measured."""

MOST_BEYOND = 0.5
"""Share of other frames whose most unusual patch is more unusual than the group's typical one: with more it would
hardly fail were it not learnt."""

FEWEST_FRAMES = 30
"""Below it two fifths of the window are too few frames that lie differently."""

_TINY = np.finfo(np.float32).tiny
_STILL = 1e-6
"""A spread of cosines, or a length of unit vectors, below it is none."""


@dataclass(frozen=True)
class _Usual:
    """What is usual in a window: patches of its reference frames, and what whitens the differences from them."""

    references: Float32[np.ndarray, "r k d"]
    mean: Float32[np.ndarray, "d"]
    whitening: Float32[np.ndarray, "d d"]


@dataclass(frozen=True)
class _Candidates:
    """The most unusual patches of every frame, the first one first; `apart`: whether two frames lie differently."""

    directions: Float32[np.ndarray, "n m d"]
    norms: Float32[np.ndarray, "n m"]
    positions: Int64[np.ndarray, "n m"]
    pose_ranks: Float32[np.ndarray, "n n"]

    @property
    def apart(self) -> Bool[np.ndarray, "n n"]:
        """No frame lies differently from itself."""
        return np.asarray((self.pose_ranks < NEAR) & ~np.eye(len(self.norms), dtype=np.bool_))


@dataclass(frozen=True)
class _Draft:
    """A group of one set: per member its answering candidates, and the mean of those that answer best."""

    frames: Int64[np.ndarray, "g"]
    answering: Bool[np.ndarray, "g m"]
    best: Int64[np.ndarray, "g"]
    direction: Float32[np.ndarray, "d"]
    separation: float
    clearness: float


def unaligned_groups(projected: ProjectedGroups) -> tuple[MinorityGroup, ...]:
    """The groups of the few of a window whose parts lie turned and shifted, the clearest first; none of few frames.

    Interleaved groups of frames are looked at one after the other; groups that point the same way are one.
    """
    if len(projected.embeddings) < FEWEST_FRAMES:
        return ()
    usual, found = None, []
    for frames, patches in projected:
        usual, differences = _whitened_differences(_sampled(patches), usual)
        candidates = _candidates(differences, _pose_ranks(patches))
        found += list(_groups_of(candidates, patches.shape[1:3], np.array(frames)))
    return tuple(group for group, _ in _merged(found))


def _groups_of(
    candidates: _Candidates, grid: tuple[int, ...], numbers: Int64[np.ndarray, "n"]
) -> Iterator[tuple[MinorityGroup, Float32[np.ndarray, "d"]]]:
    """The groups of one set, with what they point to; `numbers` are its frames' in the window."""
    for draft in _distinct(_drafts(candidates)):
        yield _group(draft, candidates, grid, numbers), draft.direction


def _step(rows: int, columns: int) -> int:
    return max(1, min(rows, columns) // COARSEST)


def _sampled(projected: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n k d"]:
    """The patches that are looked at, at most about fourteen a side."""
    step = _step(*projected.shape[1:3])
    return projected[:, ::step, ::step].reshape(len(projected), -1, projected.shape[-1])


def _whitened_differences(
    patches: Float32[np.ndarray, "n k d"], usual: _Usual | None
) -> tuple[_Usual, Float32[np.ndarray, "n k d"]]:
    """What is left of each patch, and what is usual; where nobody knows, these patches say it."""
    if usual is None:
        which = np.linspace(0, len(patches) - 1, min(REFERENCES, len(patches))).round().astype(np.int64)
        left = _differences(patches, patches[which])
        usual = _usual(patches[which], left)
    else:
        left = _differences(patches, usual.references)
    rows = left.reshape(-1, left.shape[-1]) - usual.mean
    return usual, np.asarray(rows @ usual.whitening, np.float32).reshape(left.shape)


def _usual(references: Float32[np.ndarray, "r k d"], differences: Float32[np.ndarray, "n k d"]) -> _Usual:
    rows = differences[:: max(1, len(differences) // WHITENED)].reshape(-1, differences.shape[-1])
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False).astype(np.float64))
    scale = 1 / np.sqrt(np.maximum(values, 0) + RIDGE * values.mean() + _TINY)
    return _Usual(references, rows.mean(axis=0), np.asarray((vectors * scale) @ vectors.T, np.float32))


def _differences(
    patches: Float32[np.ndarray, "n k d"], references: Float32[np.ndarray, "r k d"]
) -> Float32[np.ndarray, "n k d"]:
    """What is left of each patch without the mean of the nearest one of every reference frame."""
    half_squares = [np.square(reference).sum(axis=1) / 2 for reference in references]
    left = np.empty_like(patches)
    for start in range(0, len(patches), FRAMES_AT_ONCE):
        rows = patches[start : start + FRAMES_AT_ONCE].reshape(-1, patches.shape[-1])
        total = np.zeros_like(rows)
        for reference, half in zip(references, half_squares, strict=True):
            nearness = rows @ reference.T
            nearness -= half
            total += reference[nearness.argmax(axis=1)]
        left[start : start + FRAMES_AT_ONCE] = (rows - total / len(references)).reshape(-1, *patches.shape[1:])
    return left


def _candidates(differences: Float32[np.ndarray, "n k d"], pose_ranks: Float32[np.ndarray, "n n"]) -> _Candidates:
    norms = np.linalg.norm(differences, axis=2)
    positions = np.argsort(-norms, axis=1)[:, :CANDIDATES]
    chosen = np.take_along_axis(norms, positions, axis=1)
    patches = np.take_along_axis(differences, positions[:, :, None], axis=1)
    directions = patches / np.maximum(chosen, _TINY)[:, :, None]
    return _Candidates(directions, chosen, positions, pose_ranks)


def _pose_ranks(projected: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n n"]:
    """Of every two frames, the share of pairs that are less alike as a whole."""
    frames, rows, columns, _ = projected.shape
    side = max(1, min(rows, columns) // POSE_GRID)
    down, across = rows // side, columns // side
    blocks = projected[:, : down * side, : across * side].reshape(frames, down, side, across, side, -1)
    whole = blocks.mean(axis=(2, 4)).reshape(frames, -1)
    whole = whole - whole.mean(axis=0)
    whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), _TINY)
    pairs = np.triu_indices(frames, 1)
    ranks = np.zeros((frames, frames), np.float32)
    ranks[pairs] = np.argsort(np.argsort((whole @ whole.T)[pairs])) / len(pairs[0])
    return ranks + ranks.T


def _drafts(candidates: _Candidates) -> Iterator[_Draft]:
    """What grows from every candidate and is clear enough, rare enough and no pose."""
    seen = set()
    for members, best in zip(*_grown(candidates), strict=True):
        if (key := members.tobytes()) not in seen:
            seen.add(key)
            draft = _draft(members, best, candidates)
            if _worth_asking(draft, candidates):
                yield draft


def _worth_asking(draft: _Draft, candidates: _Candidates) -> bool:
    clear = draft.clearness >= LEAST_CLEARNESS and draft.separation >= LEAST_GAP
    return clear and not _is_pose(draft, candidates) and _share_beyond(draft, candidates) <= MOST_BEYOND


def _grown(candidates: _Candidates) -> tuple[Bool[np.ndarray, "s n"], Int64[np.ndarray, "s n"]]:
    """Per candidate the members it settles on, and of every frame the candidate that answers them best."""
    frames, each, dimension = candidates.directions.shape
    rows = candidates.directions.reshape(-1, dimension)
    products = (rows @ rows.T) * np.kron(candidates.apart, np.ones((each, each), np.float32))
    own = np.repeat(np.arange(frames), each)
    seeds, answers = np.arange(len(rows)), products.reshape(-1, frames, each)
    likeness, best = answers.max(axis=2), answers.argmax(axis=2)
    likeness[seeds, own], best[seeds, own] = np.inf, seeds % each
    members = _first(likeness, np.full(len(rows), FIRST))
    for _ in range(ROUNDS):
        likeness, best = _answers(products, members, best, candidates.apart)
        members = _first(likeness, _clearest_sizes(likeness))
    return members, best


def _answers(
    products: Float32[np.ndarray, "s s"],
    members: Bool[np.ndarray, "s n"],
    best: Int64[np.ndarray, "s n"],
    apart: Bool[np.ndarray, "n n"],
) -> tuple[Float32[np.ndarray, "s n"], Int64[np.ndarray, "s n"]]:
    """Of every frame, how its likest candidate answers the members that lie differently, and which that is."""
    frames, each = len(apart), len(products) // len(apart)
    chosen = np.zeros_like(products)
    np.put_along_axis(chosen, np.arange(frames) * each + best, members.astype(np.float32), axis=1)
    sums = (chosen @ products).reshape(-1, frames, each)
    counts = members.astype(np.float32) @ apart.astype(np.float32)
    means = np.where(counts > 0, sums.max(axis=2) / np.maximum(counts, 1), np.float32(-1))
    return means, sums.argmax(axis=2)


def _clearest_sizes(likeness: Float32[np.ndarray, "s n"]) -> Int64[np.ndarray, "s"]:
    """How many answer before the clearest gap: the r-th spacing of a tail is 1 / r of the first (Renyi); r weighs."""
    most = int(MOST_SHARE * likeness.shape[1])
    ordered = -np.sort(-likeness, axis=1)[:, : most + 1]
    spacings = (ordered[:, 1:-1] - ordered[:, 2:]) * np.arange(2, most + 1)
    return np.asarray(spacings.argmax(axis=1) + 2)


def _first(likeness: Float32[np.ndarray, "s n"], sizes: Int64[np.ndarray, "s"]) -> Bool[np.ndarray, "s n"]:
    """The `sizes` frames that answer most."""
    members = np.zeros(likeness.shape, np.bool_)
    np.put_along_axis(members, np.argsort(-likeness, axis=1), np.arange(likeness.shape[1]) < sizes[:, None], axis=1)
    return members


def _is_pose(draft: _Draft, candidates: _Candidates) -> bool:
    pairs = np.triu_indices(len(draft.frames), 1)
    return bool(candidates.pose_ranks[np.ix_(draft.frames, draft.frames)][pairs].mean() > MOST_ALIKE)


def _share_beyond(draft: _Draft, candidates: _Candidates) -> float:
    """The share of other frames whose most unusual patch is more unusual than the group's typical one."""
    others = np.delete(candidates.norms[:, 0], draft.frames)
    return float((others > np.median(candidates.norms[draft.frames, draft.best])).mean())


def _without_themselves(
    members: Bool[np.ndarray, "n"], best: Int64[np.ndarray, "n"], candidates: _Candidates
) -> Float32[np.ndarray, "n m"]:
    """How every candidate answers the mean of the members' chosen ones; a member answers the mean of the rest."""
    frames = np.flatnonzero(members)
    chosen = candidates.directions[frames, best[frames]]
    sums = candidates.directions @ chosen.sum(axis=0)
    sums[frames] -= np.einsum("gmd,gd->gm", candidates.directions[frames], chosen)
    return np.asarray(sums / (len(frames) - members[:, None]), np.float32)


def _draft(
    members: Bool[np.ndarray, "n"],
    best: Int64[np.ndarray, "n"],
    candidates: _Candidates,
) -> _Draft:
    """How far the members stand from the others."""
    answers = _without_themselves(members, best, candidates)
    frames, others, mine = np.flatnonzero(members), answers[~members].max(axis=1), answers[members]
    gap = float((mine.max(axis=1).min() - others.max()) / max(float(others.std()), _STILL))
    total = candidates.directions[frames, best[frames]].sum(axis=0)
    return _Draft(
        frames=frames,
        answering=mine >= np.minimum(mine.max(axis=1, keepdims=True), others.max()),
        best=mine.argmax(axis=1),
        direction=np.asarray(total / max(float(np.linalg.norm(total)), _STILL), np.float32),
        separation=gap,
        clearness=gap * float(np.sqrt(len(frames))),
    )


def _distinct(drafts: Iterator[_Draft]) -> list[_Draft]:
    """The clearest of those that share half of their frames."""
    chosen: list[_Draft] = []
    for draft in sorted(drafts, key=lambda one: -one.clearness):
        if not any(_overlap(draft.frames, known.frames) for known in chosen):
            chosen.append(draft)
    return chosen


def _overlap(one: Int64[np.ndarray, "g"], other: Int64[np.ndarray, "h"]) -> bool:
    return len(np.intersect1d(one, other)) >= SAME * min(len(one), len(other))


def _group(
    draft: _Draft, candidates: _Candidates, grid: tuple[int, ...], numbers: Int64[np.ndarray, "n"]
) -> MinorityGroup:
    """The group as it is asked about: its cells are those of the frame whose unusual patch is the typical one."""
    norms = candidates.norms[draft.frames, draft.best]
    typical = int(np.argsort(norms)[len(norms) // 2])
    cells = np.stack(
        [
            _cells(candidates.positions[frame][which], grid)
            for frame, which in zip(draft.frames, draft.answering, strict=True)
        ]
    )
    return MinorityGroup(
        frames=tuple(numbers[draft.frames].tolist()),
        cells=cells[typical],
        core=cells[typical],
        representative=int(numbers[draft.frames[typical]]),
        clearness=draft.clearness,
        frame_cells=cells,
    )


def _cells(positions: Int64[np.ndarray, "k"], grid: tuple[int, ...]) -> Bool[np.ndarray, "p q"]:
    """The patches of the grid that sampled positions stand for."""
    rows, columns = grid
    step = _step(rows, columns)
    cells = np.zeros((rows, columns), np.bool_)
    for row, column in zip(*np.divmod(positions, len(range(0, columns, step))), strict=True):
        cells[row * step : (row + 1) * step, column * step : (column + 1) * step] = True
    return cells


_Pointing = tuple[MinorityGroup, Float32[np.ndarray, "d"]]


def _merged(found: list[_Pointing]) -> list[_Pointing]:
    """Groups of several sets that point the same way, as one."""
    merged: list[_Pointing] = []
    for group, direction in sorted(found, key=lambda one: -one[0].clearness):
        for place, (known, its) in enumerate(merged):
            if float(direction @ its) >= SAME and not set(group.frames) & set(known.frames):
                merged[place] = (_joined(known, group), its)
                break
        else:
            merged.append((group, direction))
    return merged


def _joined(known: MinorityGroup, group: MinorityGroup) -> MinorityGroup:
    """The frames of both; the rest is the clearer one's."""
    cells = [each.frame_cells for each in (known, group) if each.frame_cells is not None]
    return replace(
        known,
        frames=known.frames + group.frames,
        frame_cells=np.concatenate(cells),
        clearness=float(np.hypot(known.clearness, group.clearness)),
    )
