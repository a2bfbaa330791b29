"""Outlier factors of a whole window, one group of frames in memory at a time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.building.alignment import parts_are_aligned
from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.noise_floor import noise_floor
from softpatch.building.progress import StageProgress
from softpatch.building.projection import ProjectedGroups, projected_groups
from softpatch.discriminators import DISCRIMINATORS
from softpatch.discriminators.protocol import Discriminator
from softpatch.settings import BuildSettings, DiscriminatorName

DISTANCES: frozenset[DiscriminatorName] = frozenset({"expected-nearest", "nearest"})
"""Discriminators whose factors are L2 distances: an alignment ratio has a meaning for these alone."""


@dataclass(frozen=True)
class OutlierFactors:
    """What the noise rule is given: one factor per patch by the discriminator set, and by LOF on aligned lines."""

    factors: Float32[np.ndarray, "n p q"]
    lof: Float32[np.ndarray, "n p q"] | None
    noise_floor: float


def outlier_factors(embeddings: EmbeddingBuffer, settings: BuildSettings, progress: StageProgress) -> OutlierFactors:
    """Discriminate the window group by group; only factors outlive their group.

    Noise floor and alignment ratio are measured on the first group: groups interleave, so each is a sample of the whole
    window. LOF is computed only where frames are removed and parts are aligned.
    """
    projected = projected_groups(embeddings, settings)
    groups, first = projected.groups, projected.read(0)
    floor = noise_floor(first) if settings.noise_floor else 0.0
    factors = _window_factors(DISCRIMINATORS[settings.discriminator](settings), projected, floor, progress)
    if not (settings.removal == "frames" and settings.discriminator in DISTANCES):
        return OutlierFactors(factors, None, floor)
    if not parts_are_aligned(first, factors[:: len(groups)]):
        return OutlierFactors(factors, None, floor)
    lof = _window_factors(DISCRIMINATORS["lof"](settings), projected, floor, progress)
    return OutlierFactors(factors, lof, floor)


def _window_factors(
    discriminator: Discriminator, projected: ProjectedGroups, floor: float, progress: StageProgress
) -> Float32[np.ndarray, "n p q"]:
    """One discriminator's factors of every frame."""
    by_group = []
    for number in range(len(projected.groups)):
        by_group.append(discriminator.factors(projected.read(number), noise_floor=floor))
        progress(len(by_group), len(projected.groups))
    factors = np.empty((sum(map(len, by_group)), *by_group[0].shape[1:]), np.float32)
    for group, group_factors in zip(projected.groups, by_group, strict=True):
        factors[group.start : group.stop : group.step] = group_factors
    return factors
