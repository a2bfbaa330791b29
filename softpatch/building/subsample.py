"""From a judged window to the patches a bank is made of: coresets, merged and reduced where the window is long."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Int64

from softpatch.building.coreset import SAMPLERS, Coreset, LostPicks, coreset_size
from softpatch.building.denoise import NoiseMask, StageProgress
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.frame_groups import calibration_blocks, interleaved_groups
from softpatch.building.projection import project, projection_matrix
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class Patches:
    """Some patches of a window with what is known of each; row i of every array is the same patch."""

    vectors: Float32[np.ndarray, "m d"]
    factors: Float32[np.ndarray, "m"]
    frame: Int32[np.ndarray, "m"]
    position: Int16[np.ndarray, "m 2"]

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, which: Int64[np.ndarray, "picks"] | Bool[np.ndarray, "m"] | slice) -> "Patches":
        """Only those rows, in that order."""
        return Patches(self.vectors[which], self.factors[which], self.frame[which], self.position[which])


def joined(parts: Sequence[Patches]) -> Patches:
    """All of them, in order."""
    return Patches(
        vectors=np.concatenate([part.vectors for part in parts]),
        factors=np.concatenate([part.factors for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )


@dataclass(frozen=True)
class Candidates:
    """Patches that a coreset may pick: projections of all; vectors are fetched for those that are picked."""

    projected: Float32[np.ndarray, "n k"]
    frame: Int32[np.ndarray, "n"]
    position: Int16[np.ndarray, "n 2"]

    def rows(self, which: Int64[np.ndarray, "picks"]) -> "Candidates":
        """Only those rows, in that order."""
        return Candidates(self.projected[which], self.frame[which], self.position[which])


DOUBTFUL_RATIO = 0.2
"""Share of a bank's cap that doubtful patches may take: it is there for what good parts look like."""


def bank_size(judged: NoiseMask, settings: BuildSettings) -> int:
    """Trusted patches the final bank aims at."""
    room = settings.coreset_cap - doubtful_size(judged, settings)
    return coreset_size(int(judged.keep.sum()), ratio=settings.coreset_ratio, cap=room)


def doubtful_size(judged: NoiseMask, settings: BuildSettings) -> int:
    """Doubtful patches it aims at; none where the settings give them no say."""
    rejected = int((~judged.keep).sum()) if settings.doubt_ratio < 1 else 0
    return min(round(rejected * settings.coreset_ratio), int(settings.coreset_cap * DOUBTFUL_RATIO))


@dataclass(frozen=True)
class Subsample:
    """The patches of the final bank, the trusted ones first, and per calibration block those that replace its own."""

    bank: Patches
    blocks: list[range]
    refills: list[Patches]


def subsample(
    embeddings: EmbeddingBuffer, judged: NoiseMask, settings: BuildSettings, pool: Executor, progress: StageProgress
) -> Subsample:
    """All the coresets of a build, side by side in the pool.

    The bank of up to `coreset_frames` frames is one exact coreset. Longer windows are merged and reduced: the coreset
    of the union of their interleaved groups' coresets, so that memory holds a group however long the window is. (One
    exact coreset is better where it fits: on MVTec screw, groups cost 0.01 to 0.04 of image AUROC.)
    Doubtful patches, those the judge rejects, make a coreset of their own, behind the trusted ones.
    A bank that has never seen a block is the final bank without that block's patches and with what both coresets would
    have picked instead: drawn anew it would differ from the final bank everywhere, by several percent of a score.
    """
    blocks = calibration_blocks(len(judged.factors), settings.calibration_blocks)
    sampler, size = SAMPLERS[settings.sampler], bank_size(judged, settings)
    steps = 1 + len(blocks)
    progress(0, steps)
    trusted = _candidates(embeddings, judged, size, settings, pool)
    drawing = pool.submit(sampler.draw, trusted.projected, size, seed=settings.seed)
    doubtful = _doubtful(embeddings, judged, settings, pool)
    drawn = [(trusted, drawing.result()), *doubtful]
    bank = joined([_fetched(embeddings, judged, of.rows(coreset.picks)) for of, coreset in drawn])
    progress(1, steps)

    def refill(block: range) -> list[Candidates]:
        return [refilled(of, coreset, block, settings) for of, coreset in drawn]

    refills = []
    for parts in pool.map(refill, blocks):
        refills.append(joined([_fetched(embeddings, judged, part) for part in parts]))
        progress(1 + len(refills), steps)
    return Subsample(bank, blocks, refills)


def _doubtful(
    embeddings: EmbeddingBuffer, judged: NoiseMask, settings: BuildSettings, pool: Executor
) -> list[tuple[Candidates, Coreset]]:
    """What the judge rejects and the coreset of it, where there is any and it has a say."""
    size = doubtful_size(judged, settings)
    if not size:
        return []
    rejected = _candidates(embeddings, replace(judged, keep=~judged.keep), size, settings, pool)
    return [(rejected, SAMPLERS[settings.sampler].draw(rejected.projected, size, seed=settings.seed))]


def _candidates(
    embeddings: EmbeddingBuffer, judged: NoiseMask, size: int, settings: BuildSettings, pool: Executor
) -> Candidates:
    """What the final coreset is drawn from: all kept patches, or of a long window its groups' coresets."""
    groups = [list(group) for group in interleaved_groups(range(len(judged.factors)), settings.coreset_frames)]
    if len(groups) == 1:
        return kept(embeddings, judged, groups[0], settings)
    # Ties go to the first frame. Each group begins at another time, or all copies of one look would be of one block.
    begins = [len(group) * number // len(groups) for number, group in enumerate(groups)]
    groups = [group[begin:] + group[:begin] for group, begin in zip(groups, begins, strict=True)]
    parts = list(pool.map(lambda group: thinned(kept(embeddings, judged, group, settings), size, settings), groups))
    return Candidates(
        projected=np.concatenate([part.projected for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )


def refilled(candidates: Candidates, drawn: Coreset, block: range, settings: BuildSettings) -> Candidates:
    """What replaces the picks of a block: of the other blocks' patches, those whose pick is gone may step in."""
    inside = (candidates.frame >= block.start) & (candidates.frame < block.stop)
    gone = inside[drawn.picks]
    orphans = np.flatnonzero(gone[drawn.nearest] & ~inside)
    loss = LostPicks(candidates.projected[drawn.picks], gone, candidates.projected[orphans], drawn.nearest[orphans])
    return candidates.rows(orphans[SAMPLERS[settings.sampler].refill(loss, seed=settings.seed)])


def group_coreset(
    embeddings: EmbeddingBuffer, judged: NoiseMask, group: Sequence[int], size: int, settings: BuildSettings
) -> Patches:
    """The coreset of the kept patches of those frames."""
    return _fetched(embeddings, judged, thinned(kept(embeddings, judged, group, settings), size, settings))


def thinned(candidates: Candidates, size: int, settings: BuildSettings) -> Candidates:
    """Their coreset."""
    return candidates.rows(SAMPLERS[settings.sampler].draw(candidates.projected, size, seed=settings.seed).picks)


def kept(embeddings: EmbeddingBuffer, judged: NoiseMask, group: Sequence[int], settings: BuildSettings) -> Candidates:
    """The kept patches of those frames.

    Projected frame by frame into one array: the full embeddings of a large group never exist at once.
    """
    keep = judged.keep[list(group)]
    dimension = embeddings.take(range(1)).shape[-1]
    matrix = projection_matrix(dimension, settings.projection_dims, seed=settings.seed)
    where = np.argwhere(keep)
    projected = np.empty((len(where), matrix.shape[1]), np.float32)
    filled = 0
    for frame, mask in zip(group, keep, strict=True):
        its = project(embeddings.take(range(frame, frame + 1))[0][mask], matrix)
        projected[filled : filled + len(its)] = its
        filled += len(its)
    source = np.array(group, np.int32)[where[:, 0]]
    return Candidates(projected, source, where[:, 1:].astype(np.int16))


def _fetched(embeddings: EmbeddingBuffer, judged: NoiseMask, picked: Candidates) -> Patches:
    dimension = embeddings.take(range(1)).shape[-1]
    vectors = np.empty((len(picked.frame), dimension), np.float32)
    for vector, frame, (row, column) in zip(vectors, picked.frame.tolist(), picked.position, strict=True):
        vector[:] = embeddings.take(range(frame, frame + 1))[0, row, column]
    row, column = picked.position.astype(np.int64).T
    return Patches(vectors, judged.factors[picked.frame, row, column], picked.frame, picked.position)
