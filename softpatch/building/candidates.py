"""Patches that a coreset may pick: projections of all; full embeddings are read only for those that are picked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Int64

from softpatch.building.projection import ProjectedGroups


@dataclass(frozen=True)
class Candidates:
    """Some patches of a window; row i of every array is the same patch."""

    projected: Float32[np.ndarray, "n k"]
    frame: Int32[np.ndarray, "n"]
    position: Int16[np.ndarray, "n 2"]

    def rows(self, which: Int64[np.ndarray, "picks"]) -> "Candidates":
        """Those patches, in the order given."""
        return Candidates(self.projected[which], self.frame[which], self.position[which])


def candidates(projected: ProjectedGroups, keep: Bool[np.ndarray, "n p q"], frames: Sequence[int]) -> Candidates:
    """The kept patches of those frames, frame by frame: a long window's projections never exist at once."""
    group_keep = keep[list(frames)]
    where = np.argwhere(group_keep)
    patches = np.empty((len(where), projected.matrix.shape[1]), np.float32)
    filled = 0
    for frame, mask in zip(frames, group_keep, strict=True):
        part = projected.kept(frame, mask)
        patches[filled : filled + len(part)] = part
        filled += len(part)
    source = np.array(frames, np.int32)[where[:, 0]]
    return Candidates(patches, source, where[:, 1:].astype(np.int16))
