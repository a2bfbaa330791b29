"""How far from each patch of a coreset other frames' patches lie, among all those that it stands for.

A coreset keeps one of several patches that are alike, so the nearest patch of a second frame in the bank may be far
from a patch that every frame shows: a fixture, a bar of a letterbox, a masked background.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64

from softpatch.building.candidates import Candidates
from softpatch.building.coreset import Coreset

ByBlock = Float32[np.ndarray, "_ _"]
"""Per pick the distance to the nearest patch of another frame that it stands for, in each block of time of the window;
the last column is of frames outside of all blocks. Infinite where there is none. Measured in the projection."""


def vouched_within(by_block: ByBlock) -> Float32[np.ndarray, "picks"]:
    """The distance within which other frames of two blocks of time lie; infinite where those of one do at most.

    Two frames of a moment may show the same part, and a defect of it twice.
    """
    if by_block.shape[1] < 2:  # noqa: PLR2004 - blocks of time
        return np.full(len(by_block), np.inf, np.float32)
    return np.asarray(np.partition(by_block, 1, axis=1)[:, 1])


def second_frames(of: Candidates, coreset: Coreset, blocks: Sequence[range]) -> ByBlock:
    """Of the picks of a coreset, each of which stands for the patches that it is the nearest pick of."""
    return _by_block(of, coreset.picks, coreset.nearest, blocks)


def second_frames_of_refill(
    of: Candidates, picks: Int64[np.ndarray, "picks"], lost: Int32[np.ndarray, "n"], blocks: Sequence[range]
) -> ByBlock:
    """Of picks among patches whose own picks are lost: each stands for those that had lost the same one."""
    return _by_block(of, picks, lost, blocks)


def _by_block(
    of: Candidates, picks: Int64[np.ndarray, "picks"], cluster: Int32[np.ndarray, "n"], blocks: Sequence[range]
) -> ByBlock:
    column = np.full(int(of.frame.max(initial=-1)) + 1, len(blocks), np.int64)
    for number, block in enumerate(blocks):
        column[block.start : block.stop] = number
    order = np.argsort(cluster, kind="stable")
    starts, stops = (np.searchsorted(cluster[order], cluster[picks], side=side) for side in ("left", "right"))
    distances = np.full((len(picks), len(blocks) + 1), np.inf, np.float32)
    for own, pick, start, stop in zip(distances, picks.tolist(), starts.tolist(), stops.tolist(), strict=True):
        members = order[start:stop]
        others = members[of.frame[members] != of.frame[pick]]
        apart = np.linalg.norm(of.projected[others] - of.projected[pick], axis=1)
        np.minimum.at(own, column[of.frame[others]], apart)
    return distances
