"""Patches of a window that the bank in force would fail, alike, in more than a few frames: groups that are not learnt.

Outlier factors are blind to what repeats, and the search for groups of the few needs a contrast with the many. The bank
in force knows what was normal until now: frames that it fails, and that would vouch for each other were they learnt,
are what a rebuild would learn in silence. Two frames vouch for each other where a failing patch of one is as near to a
failing patch of the other as a good patch is to the bank: within the threshold.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from softpatch.building.minority_groups import MinorityGroup
from softpatch.gate.prior_scores import PriorScores
from softpatch.images.geometry import Geometry, box_cells, cells_box

SAME_PLACE_CELLS = 2
"""On aligned lines, how far apart two patches may lie, down and across, to be of one group."""

SAME_FRAMES = 0.5
"""Of the smaller one's frames, the share that two groups must have in common, at the same place, to be one."""


def quarantined_groups(
    prior: PriorScores,
    *,
    fewest: int,
    window_frames: int,
    aligned: bool,
    geometry: Geometry,
    grid: tuple[int, int],
    frame_wh: tuple[int, int],
) -> list[MinorityGroup]:
    """Frames that fail alike by the bank before, as groups on the grid of the bank that is being built; largest first.

    `fewest` frames of window and labelled ones together; `aligned`: only patches at one place are alike.
    """
    frames, starts = np.unique(prior.patch_frame, return_index=True)
    if len(frames) < fewest:
        return []
    linked = _linked(prior, starts.astype(np.int64), aligned=aligned)
    groups = [
        _group(
            prior,
            frames[members],
            linked[np.ix_(members, members)],
            aligned=aligned,
            geometry=geometry,
            grid=grid,
            frame_wh=frame_wh,
        )
        for members in _clusters(linked, fewest)
        if (frames[members] < window_frames).any()
    ]
    return sorted(groups, key=lambda each: -len(each.frames))


def with_quarantined(found: Sequence[MinorityGroup], quarantined: Sequence[MinorityGroup]) -> list[MinorityGroup]:
    """The groups that a search found and those that the bank before fails, each once."""
    known = list(found)
    known += [each for each in quarantined if not any(_same(each, group) for group in found)]
    return known


def _same(one: MinorityGroup, other: MinorityGroup) -> bool:
    both = len(set(one.frames) & set(other.frames))
    return both >= SAME_FRAMES * len(one.frames) and bool((one.cells & other.cells).any())


def failing_alike(prior: PriorScores, starts: Int64[np.ndarray, "f"], *, aligned: bool) -> Bool[np.ndarray, "k f"]:
    """For which failing frames each failing patch vouches; `starts` is where each frame's patches begin."""
    vectors, positions = prior.patch_vectors, prior.patch_position.astype(np.int64)
    squares = np.square(vectors).sum(axis=1)
    near = np.empty((len(vectors), len(starts)), np.bool_)
    for row in range(len(vectors)):  # a row at a time: thousands of patches need no square of their number in memory
        alike = squares + squares[row] - 2 * (vectors @ vectors[row]) <= prior.prior.threshold**2
        if aligned:
            alike &= (np.abs(positions - positions[row]) <= SAME_PLACE_CELLS).all(axis=1)
        near[row] = np.logical_or.reduceat(alike, starts)
    return near


def _linked(prior: PriorScores, starts: Int64[np.ndarray, "f"], *, aligned: bool) -> Bool[np.ndarray, "f f"]:
    """Which of the failing frames vouch for each other; each for itself."""
    linked = np.logical_or.reduceat(failing_alike(prior, starts, aligned=aligned), starts, axis=0)
    return np.asarray(linked | linked.T)


def _clusters(linked: Bool[np.ndarray, "f f"], fewest: int) -> Iterator[Int64[np.ndarray, "g"]]:
    """Frames that hang together by such as have at least `fewest - 1` others near them."""
    core = linked.sum(axis=1) >= fewest  # each is near itself
    left = set(np.flatnonzero(core).tolist())
    while left:
        reached, front = set[int](), {left.pop()}
        while front:
            reached |= front
            front = {each for one in front for each in np.flatnonzero(linked[one] & core).tolist()} - reached
        left -= reached
        members = np.flatnonzero(linked[sorted(reached)].any(axis=0))
        yield members


def _group(
    prior: PriorScores,
    frames: np.ndarray,
    linked: Bool[np.ndarray, "g g"],
    *,
    aligned: bool,
    geometry: Geometry,
    grid: tuple[int, int],
    frame_wh: tuple[int, int],
) -> MinorityGroup:
    """Where parts lie alike, a frame is kept out wherever one that vouches for it fails.

    One that fails faintly fails at one patch of its mark: the others would be learnt, and new marks near them pass.
    """
    typical = int(linked.sum(axis=1).argmax())
    cells = np.stack([_cells(prior, int(frame), geometry=geometry, grid=grid, frame_wh=frame_wh) for frame in frames])
    if aligned:
        cells = np.stack([cells[alike].any(axis=0) for alike in linked])
    return MinorityGroup(
        frames=tuple(frames.tolist()),
        cells=cells[typical],
        core=cells[typical],
        representative=int(frames[typical]),
        clearness=float(prior.ratios[frames].mean()),
        frame_cells=cells,
    )


def _cells(
    prior: PriorScores, frame: int, *, geometry: Geometry, grid: tuple[int, int], frame_wh: tuple[int, int]
) -> Bool[np.ndarray, "p q"]:
    """Where a frame fails, on the grid of the bank that is being built."""
    manifest = prior.prior.bank.manifest
    own = np.zeros(manifest.grid, np.bool_)
    own[tuple(prior.patch_position[prior.patch_frame == frame].T)] = True
    if manifest.geometry == geometry and manifest.grid == grid:
        return own
    box = cells_box(own, geometry=manifest.geometry, frame_wh=frame_wh)
    return box_cells(box, geometry=geometry, grid=grid, frame_wh=frame_wh)
