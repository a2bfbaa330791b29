"""From a judged window to the patches a bank is made of: coresets, merged and reduced where the window is long."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int16, Int32, Int64

from softpatch.coreset import SAMPLERS, coreset_size
from softpatch.groups import calibration_blocks, interleaved_groups
from softpatch.judge import Judged, StageProgress
from softpatch.projection import project, projection_matrix
from softpatch.settings import BuildSettings
from softpatch.spill import Embeddings


@dataclass(frozen=True)
class Patches:
    """Some patches of a window with what is known of each; row i of every array is the same patch."""

    vectors: Float32[np.ndarray, "m d"]
    projected: Float32[np.ndarray, "m k"]
    factors: Float32[np.ndarray, "m"]
    frame: Int32[np.ndarray, "m"]
    position: Int16[np.ndarray, "m 2"]

    def __len__(self) -> int:
        return len(self.vectors)

    def rows(self, which: Int64[np.ndarray, "picks"] | slice) -> "Patches":
        """Only those rows, in that order."""
        return Patches(
            self.vectors[which], self.projected[which], self.factors[which], self.frame[which], self.position[which]
        )


def joined(parts: Sequence[Patches]) -> Patches:
    """All of them, in order."""
    return Patches(
        vectors=np.concatenate([part.vectors for part in parts]),
        projected=np.concatenate([part.projected for part in parts]),
        factors=np.concatenate([part.factors for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )


DOUBTFUL_RATIO = 0.2
"""Share of a bank's cap that doubtful patches may take: it is there for what good parts look like."""


def bank_size(judged: Judged, settings: BuildSettings) -> int:
    """Trusted patches the final bank aims at."""
    room = settings.coreset_cap - doubtful_size(judged, settings)
    return coreset_size(int(judged.keep.sum()), ratio=settings.coreset_ratio, cap=room)


def doubtful_size(judged: Judged, settings: BuildSettings) -> int:
    """Doubtful patches it aims at; none where the settings give them no say."""
    rejected = int((~judged.keep).sum()) if settings.doubt_ratio < 1 else 0
    return min(round(rejected * settings.coreset_ratio), int(settings.coreset_cap * DOUBTFUL_RATIO))


@dataclass(frozen=True)
class Condensed:
    """The patches of the final bank, the trusted ones first, and per calibration block those for other blocks' banks.

    The latter are trusted ones only.
    """

    bank: Patches
    blocks: list[Patches]


def condense(
    embeddings: Embeddings, judged: Judged, settings: BuildSettings, pool: Executor, progress: StageProgress
) -> Condensed:
    """All the coresets of a build, side by side in the pool.

    The bank of up to `coreset_frames` frames is one exact coreset. Longer windows are merged and reduced: the coreset
    of the union of their interleaved groups' coresets, so that memory holds a group however long the window is. (One
    exact coreset is better where it fits: on MVTec screw, groups cost 0.01 to 0.04 of image AUROC.)
    Calibration banks are always drawn from coresets of the blocks, since each block serves all banks but its own.
    Doubtful patches, those the judge rejects, make a coreset of their own, behind the trusted ones.
    """
    frames, size = len(judged.factors), bank_size(judged, settings)
    whole = interleaved_groups(range(frames), settings.coreset_frames)
    blocks = [
        interleaved_groups(block, settings.coreset_frames)
        for block in calibration_blocks(frames, settings.calibration_blocks)
    ]
    small = min(size, settings.calibration_patches, -(-2 * size // (len(blocks) - 1)))  # twice what a bank will take
    rejected, doubtful = replace(judged, keep=~judged.keep), doubtful_size(judged, settings)
    tasks = [(judged, group, size) for group in whole]
    tasks += [(judged, group, small) for block in blocks for group in block]
    tasks += [(rejected, group, doubtful) for group in whole if doubtful]
    found = pool.map(lambda task: group_coreset(embeddings, task[0], task[1], task[2], settings), tasks)
    parts: list[Patches] = []
    for part in found:
        parts.append(part)
        progress(len(parts), len(tasks))
    bank, rest = _merged(parts[: len(whole)], size, settings), iter(parts[len(whole) :])
    of_blocks = [joined([next(rest) for _ in block]) for block in blocks]
    if doubtful:
        bank = joined([bank, _merged(list(rest), doubtful, settings)])
    return Condensed(bank, of_blocks)


def _merged(parts: Sequence[Patches], size: int, settings: BuildSettings) -> Patches:
    return parts[0] if len(parts) == 1 else reduced(joined(parts), size, settings)


def group_coreset(embeddings: Embeddings, judged: Judged, group: range, size: int, settings: BuildSettings) -> Patches:
    """The coreset of the kept patches of those frames."""
    projected = _kept_projected(embeddings, judged, group, settings)
    picks = SAMPLERS[settings.sampler](projected, size, settings.seed)
    where = np.argwhere(judged.keep[group.start : group.stop : group.step])[picks]
    source = np.arange(group.start, group.stop, group.step)[where[:, 0]]
    vectors = np.empty((len(picks), embeddings.take(group[:1]).shape[-1]), np.float32)
    for vector, f, (_, row, column) in zip(vectors, source, where, strict=True):
        vector[:] = embeddings.take(range(f, f + 1))[0, row, column]
    return Patches(
        vectors=vectors,
        projected=projected[picks],
        factors=judged.factors[source, where[:, 1], where[:, 2]],
        frame=source.astype(np.int32),
        position=where[:, 1:].astype(np.int16),
    )


def _kept_projected(
    embeddings: Embeddings, judged: Judged, group: range, settings: BuildSettings
) -> Float32[np.ndarray, "kept k"]:
    """Projected frame by frame into one array: the full embeddings of a large group never exist at once."""
    keep = judged.keep[group.start : group.stop : group.step]
    dimension = embeddings.take(group[:1]).shape[-1]
    matrix = projection_matrix(dimension, settings.projection_dims, seed=settings.seed)
    out = np.empty((int(keep.sum()), matrix.shape[1]), np.float32)
    filled = 0
    for frame, mask in zip(group, keep, strict=True):
        kept = project(embeddings.take(range(frame, frame + 1))[0][mask], matrix)
        out[filled : filled + len(kept)] = kept
        filled += len(kept)
    return out


def reduced(candidates: Patches, size: int, settings: BuildSettings) -> Patches:
    """The coreset of candidates; its first m patches are the coreset of size m."""
    return candidates.rows(SAMPLERS[settings.sampler](candidates.projected, size, settings.seed))
