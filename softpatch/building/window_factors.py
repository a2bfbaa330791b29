"""The factors that one discriminator gives every frame of a window."""

import numpy as np
from jaxtyping import Float32

from softpatch.building.progress import StageProgress
from softpatch.building.projection import ProjectedGroups
from softpatch.discriminators.protocol import Discriminator


def window_factors(
    discriminator: Discriminator, projected: ProjectedGroups, floor: float, progress: StageProgress
) -> Float32[np.ndarray, "n p q"]:
    """One discriminator's factors of every frame."""
    by_group: list[Float32[np.ndarray, "m p q"]] = []
    for _, patches in projected:
        by_group.append(discriminator.factors(patches, noise_floor=floor))
        progress(len(by_group), len(projected.groups))
    factors = np.empty((sum(map(len, by_group)), *by_group[0].shape[1:]), np.float32)
    for group, group_factors in zip(projected.groups, by_group, strict=True):
        factors[group.start : group.stop : group.step] = group_factors
    return factors
