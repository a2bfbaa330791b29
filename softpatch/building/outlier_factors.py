"""Outlier factors of a whole window, one group of frames in memory at a time."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.building.alignment import parts_are_aligned
from softpatch.building.noise_floor import noise_floor
from softpatch.building.progress import StageProgress
from softpatch.building.projection import ProjectedGroups
from softpatch.building.window_factors import window_factors
from softpatch.discriminators import DISCRIMINATORS
from softpatch.settings import BuildSettings, DiscriminatorName

DISTANCES: frozenset[DiscriminatorName] = frozenset({"expected-nearest", "nearest"})
"""Discriminators whose factors are L2 distances: an alignment ratio has a meaning for these alone."""


@dataclass(frozen=True)
class OutlierFactors:
    """What the noise rule is given: one factor per patch by the discriminator set, and by LOF on aligned lines."""

    factors: Float32[np.ndarray, "n p q"]
    lof: Float32[np.ndarray, "n p q"] | None
    noise_floor: float


def outlier_factors(projected: ProjectedGroups, settings: BuildSettings, progress: StageProgress) -> OutlierFactors:
    """Discriminate the window group by group; only factors outlive their group.

    Noise floor and alignment ratio are measured on the first group: groups interleave, so each is a sample of the whole
    window. LOF is computed only where frames are removed and parts are aligned.
    """
    first = projected.first
    floor = noise_floor(first) if settings.noise_floor else 0.0
    factors = window_factors(DISCRIMINATORS[settings.discriminator](settings), projected, floor, progress)
    if not (settings.removal == "frames" and settings.discriminator in DISTANCES):
        return OutlierFactors(factors, None, floor)
    if not parts_are_aligned(first, factors[:: len(projected.groups)]):
        return OutlierFactors(factors, None, floor)
    lof = window_factors(DISCRIMINATORS["lof"](settings), projected, floor, progress)
    return OutlierFactors(factors, lof, floor)
