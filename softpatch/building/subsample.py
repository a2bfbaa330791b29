"""Step 3: from a denoised window to the coresets a bank is made of, merged and reduced where the window is long."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from softpatch.building.candidates import Candidates, candidates
from softpatch.building.coreset import SAMPLERS, Coreset, coreset_size
from softpatch.building.denoise import NoiseMask
from softpatch.building.frame_groups import interleaved_groups
from softpatch.building.patches import Patches, read_patches
from softpatch.building.progress import StageProgress
from softpatch.building.projection import ProjectedGroups
from softpatch.building.second_frames import ByBlock, second_frames, vouched_within
from softpatch.settings import BuildSettings

UNTRUSTED_SHARE = 0.2
"""Share of a bank's cap that untrusted patches may take: most of a bank is for good parts."""


@dataclass(frozen=True)
class DrawnCoreset:
    """The patches of a coreset, and what it was drawn from: what it takes to replace some of its picks."""

    patches: Patches
    candidates: Candidates
    coreset: Coreset
    second_frames: ByBlock


def subsample(
    projected: ProjectedGroups,
    mask: NoiseMask,
    settings: BuildSettings,
    pool: Executor,
    progress: StageProgress,
    *,
    blocks: Sequence[range],
) -> list[DrawnCoreset]:
    """The coreset of trusted patches and, where they count, the coreset of untrusted ones.

    The bank of up to `coreset_frames` frames is one exact coreset. Longer windows are merged and reduced: the coreset
    of the union of their interleaved groups' coresets, so that memory holds a group however long the window is. (One
    exact coreset is better where it fits: on MVTec screw, groups cost 0.01 to 0.04 of image AUROC.)
    """
    progress(0, 1)
    drawing = []
    for keep, size in _strata(mask, settings):
        of = _candidates(projected, keep, size, settings, pool)
        drawing.append((of, pool.submit(SAMPLERS[settings.sampler].draw, of.projected, size, seed=settings.seed)))
    drawn = []
    for of, drawing_one in drawing:
        coreset = drawing_one.result()
        seconds = second_frames(of, coreset, blocks)
        patches = read_patches(projected.embeddings, mask, of.rows(coreset.picks), vouched_within(seconds))
        drawn.append(DrawnCoreset(patches, of, coreset, seconds))
    progress(1, 1)
    return drawn


def _strata(mask: NoiseMask, settings: BuildSettings) -> list[tuple[Bool[np.ndarray, "n p q"], int]]:
    """Which patches each coreset is drawn from, and its size: trusted ones, then untrusted ones where there are any."""
    untrusted = untrusted_size(mask, settings)
    trusted = (mask.keep, trusted_size(mask, settings))
    return [trusted, (mask.untrusted, untrusted)] if untrusted else [trusted]


def trusted_size(mask: NoiseMask, settings: BuildSettings) -> int:
    """Trusted patches the bank holds at most."""
    room = settings.coreset_cap - untrusted_size(mask, settings)
    return coreset_size(int(mask.keep.sum()), ratio=settings.coreset_ratio, cap=room)


def untrusted_size(mask: NoiseMask, settings: BuildSettings) -> int:
    """Untrusted patches it holds at most; none where the settings give them no influence on a score."""
    rejected = int(mask.untrusted.sum()) if settings.untrusted_ratio < 1 else 0
    return min(round(rejected * settings.coreset_ratio), int(settings.coreset_cap * UNTRUSTED_SHARE))


def _candidates(
    projected: ProjectedGroups,
    keep: Bool[np.ndarray, "n p q"],
    size: int,
    settings: BuildSettings,
    pool: Executor,
) -> Candidates:
    """What the final coreset is drawn from: all kept patches, or of a long window its groups' coresets."""
    groups = [list(group) for group in interleaved_groups(range(len(keep)), settings.coreset_frames)]
    # Ties go to the first frame. Each group begins at another time, or all copies of one view would be of one block.
    begins = [len(group) * number // len(groups) for number, group in enumerate(groups)]

    def reduced(group: list[int], begin: int) -> Candidates:
        of_group = candidates(projected, keep, group[begin:] + group[:begin])
        if len(groups) == 1:
            return of_group
        coreset = SAMPLERS[settings.sampler].draw(of_group.projected, size, seed=settings.seed)
        return of_group.rows(coreset.picks)

    parts = list(pool.map(reduced, groups, begins))
    if len(parts) == 1:
        return parts[0]
    return Candidates(
        projected=np.concatenate([part.projected for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
    )
