"""Frames that the bank before passes and that are of a group all the same: they are nearer to it than to that bank.

A faint mark scores about the threshold, so that of the frames with it some pass. Learnt, they would vouch for the rest.
Where parts lie alike, such a frame is told by its patch at the mark's place: no threshold is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.fitted_bank import SearchMaker
from softpatch.building.near_patches import around, distances_to_each, near_limits
from softpatch.building.quarantine import SAME_PLACE_CELLS, failing_alike
from softpatch.gate.prior_scores import PriorScores
from softpatch.scoring.score import in_metric
from softpatch.scoring.search import Search

_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class JoiningFrames:
    """Which frames join a group, where parts lie alike.

    `near`: which frames have, at the place of each of the prior's failing patches, one that is like it. `fewest` frames
    that fail alike are a group.
    """

    prior: PriorScores
    near: Bool[np.ndarray, "n k"]
    fewest: int

    def of(self, rows: Sequence[int]) -> list[int]:
        """The frames that are like as many of a group's frames as those are alike; its own may be among them."""
        return np.flatnonzero(self.members_near(rows) >= self.fewest - 1).tolist()

    def members_near(self, rows: Sequence[int]) -> Int64[np.ndarray, "n"]:
        """For each frame the number of a group's frames that it is like.

        Only patches count that fail alike in a group's worth of them: a scattered defect in one is not what it is of.
        """
        frames, starts = np.unique(self.prior.patch_frame, return_index=True)
        if not len(frames):
            return np.zeros(len(self.near), np.int64)
        members = np.isin(frames, rows)
        common = self._alike[:, members].sum(axis=1) >= self.fewest
        by_frame = np.logical_or.reduceat(self.near & common, starts, axis=1)
        return np.asarray(by_frame[:, members].sum(axis=1))

    @cached_property
    def _alike(self) -> Bool[np.ndarray, "k f"]:
        starts = np.unique(self.prior.patch_frame, return_index=True)[1]
        return failing_alike(self.prior, starts.astype(np.int64), aligned=True)


def joining_frames(
    prior: PriorScores, embeddings: EmbeddingBuffer, make_search: SearchMaker, *, fewest: int
) -> JoiningFrames:
    """Compare all frames with the prior's failing patches; `embeddings` are those that it was scored by.

    A frame is like a failing patch where it has one at its place that is nearer to it than to the bank, and nearer than
    chance puts any frame that passes: the neighbours of a mark fail with it, and may look as they do in every frame.
    """
    bank, passing = prior.prior.bank, ~prior.fails
    if not len(prior.patch_frame) or not passing.any():
        return JoiningFrames(prior, np.zeros((len(embeddings), len(prior.patch_frame)), np.bool_), fewest)
    nearest, nearer = _distances(prior, embeddings, make_search(bank.vectors[: bank.trusted_patches]))
    return JoiningFrames(prior, nearer < near_limits(nearest[passing]), fewest)


def _distances(
    prior: PriorScores, embeddings: EmbeddingBuffer, search: Search
) -> tuple[Float32[np.ndarray, "n k"], Float32[np.ndarray, "n k"]]:
    """How near frames come to each failing patch at its place, by any patch, and by one nearer to it than to the bank.

    The latter is infinite where there is none.
    """
    shape = (len(embeddings), len(prior.patch_frame))
    nearest, nearer = np.empty(shape, np.float32), np.empty(shape, np.float32)
    places, place = np.unique(prior.patch_position.astype(np.int64), axis=0, return_inverse=True)
    places_around = [around(row, column, SAME_PLACE_CELLS) for row, column in places.tolist()]
    asked = np.zeros(prior.prior.bank.manifest.grid, np.bool_)
    for at in places_around:
        asked[at] = True
    metric = prior.prior.bank.metric
    failing = in_metric(prior.patch_vectors, metric)
    for start in range(0, len(embeddings), _FRAMES_AT_ONCE):
        rows = slice(start, min(start + _FRAMES_AT_ONCE, len(embeddings)))
        batch = in_metric(embeddings.take(range(rows.start, rows.stop)), metric)
        to_bank = np.zeros(batch.shape[:3], np.float32)
        to_bank[:, asked] = search.nearest(np.concatenate(batch[:, asked])).distance.reshape(len(batch), -1)
        for number, at in enumerate(places_around):
            own = np.flatnonzero(place.reshape(-1) == number)
            distance = distances_to_each(batch[:, *at], failing[own])
            nearest[rows, own] = distance.min(axis=(1, 2))
            nearer[rows, own] = np.where(distance < to_bank[:, *at, None], distance, np.inf).min(axis=(1, 2))
    return nearest, nearer
