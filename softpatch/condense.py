"""From a window's embeddings to the patches a bank is made of: factors, keep mask, coresets merged and reduced."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, Int64

from softpatch.coreset import SAMPLERS, coreset_size
from softpatch.discriminators import DISCRIMINATORS
from softpatch.groups import contiguous_blocks, interleaved_groups
from softpatch.noise_floor import noise_floor
from softpatch.projection import project, projection_matrix
from softpatch.settings import BuildSettings
from softpatch.spill import Embeddings

StageProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    """Every patch of the window, judged: its outlier factor, and whether it may enter a bank."""

    factors: Float32[np.ndarray, "n p q"]
    keep: Bool[np.ndarray, "n p q"]
    noise_floor: float

    @property
    def median_kept(self) -> float:
        """The factor of an ordinary kept patch."""
        return float(np.median(self.factors[self.keep]))


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


def keep_mask(factors: Float32[np.ndarray, "n p q"], noise_ratio: float) -> Bool[np.ndarray, "n p q"]:
    """Drops the worst `noise_ratio` of all patches of the window, wherever they are.

    Patches that tie with the last kept one are kept: equal factors are no evidence between them, and "none" drops none.
    """
    kept = factors.size - int(factors.size * noise_ratio)
    limit = np.partition(factors, kept - 1, axis=None)[kept - 1]
    return factors <= limit  # type: ignore[no-any-return]


def judge(embeddings: Embeddings, frames: int, settings: BuildSettings, progress: StageProgress) -> Judged:
    """Discriminate the window group by group, then cut once over all groups: only factors outlive their group.

    The noise floor is measured on the first group: groups interleave, so each looks like the whole window.
    """
    discriminator = DISCRIMINATORS[settings.discriminator](settings)
    groups = interleaved_groups(range(frames), settings.group_frames)
    floor: float | None = None
    factors: np.ndarray | None = None
    for done, group in enumerate(groups, start=1):
        full = embeddings.take(group)
        projected = project(full, projection_matrix(full.shape[-1], settings.projection_dims, seed=settings.seed))
        if floor is None:
            floor = noise_floor(projected) if settings.noise_floor else 0.0
        if factors is None:
            factors = np.empty((frames, *full.shape[1:3]), np.float32)
        factors[group.start : group.stop : group.step] = discriminator.factors(projected, noise_floor=floor)
        progress(done, len(groups))
    if factors is None or floor is None:
        raise ValueError("a window of no frames cannot be judged")
    return Judged(factors, keep_mask(factors, settings.noise_ratio), floor)


def bank_size(judged: Judged, settings: BuildSettings) -> int:
    """Patches the final bank aims at."""
    return coreset_size(int(judged.keep.sum()), ratio=settings.coreset_ratio, cap=settings.coreset_cap)


@dataclass(frozen=True)
class Condensed:
    """The patches of the final bank, and per calibration block the candidates for the other blocks' banks."""

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
    """
    frames, size = len(judged.factors), bank_size(judged, settings)
    small = min(size, settings.calibration_patches)
    whole = interleaved_groups(range(frames), settings.coreset_frames)
    blocks = [
        interleaved_groups(block, settings.coreset_frames)
        for block in contiguous_blocks(frames, settings.calibration_blocks)
    ]
    tasks = [(group, size) for group in whole] + [(group, small) for block in blocks for group in block]
    found = pool.map(lambda task: group_coreset(embeddings, judged, task[0], task[1], settings), tasks)
    parts: list[Patches] = []
    for part in found:
        parts.append(part)
        progress(len(parts), len(tasks))
    bank = parts[0] if len(whole) == 1 else reduced(joined(parts[: len(whole)]), size, settings)
    rest = iter(parts[len(whole) :])
    return Condensed(bank, [joined([next(rest) for _ in block]) for block in blocks])


def group_coreset(embeddings: Embeddings, judged: Judged, group: range, size: int, settings: BuildSettings) -> Patches:
    """The coreset of the kept patches of those frames."""
    projected = _kept_projected(embeddings, judged, group, settings)
    picks = SAMPLERS[settings.sampler](projected, size, settings.seed)
    where = np.argwhere(judged.keep[group.start : group.stop : group.step])[picks]
    source = np.arange(group.start, group.stop, group.step)[where[:, 0]]
    vectors = [
        embeddings.take(range(f, f + 1))[0, row, column] for f, (_, row, column) in zip(source, where, strict=True)
    ]
    return Patches(
        vectors=np.stack(vectors),
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
