"""Step 2: which patches of a window may be trusted, from their outlier factors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.outlier_factors import outlier_factors
from softpatch.building.outlier_ratio import outlier_ratio
from softpatch.building.progress import StageProgress
from softpatch.building.projection import ProjectedGroups
from softpatch.building.rejection import rejected_patches
from softpatch.settings import BuildSettings


@dataclass(frozen=True)
class PatchLabels:
    """What labels make of each patch: `excluded` enters no bank, `confirmed` is good, `ignored` never scores."""

    excluded: Bool[np.ndarray, "n p q"]
    confirmed: Bool[np.ndarray, "n p q"]
    ignored: Bool[np.ndarray, "p q"]
    negatives: Float32[np.ndarray, "k d"] | None = None
    """Patches of defects that people named; None where there are none."""


@dataclass(frozen=True)
class NoiseMask:
    """Per patch of the window: its outlier factor, and whether the discriminator accepts it, which labels overrule.

    `aligned`: parts lie alike in every frame, and the discriminator measures distances. `metric`: what embeddings are
    multiplied by before they are compared; None where they are compared as they are.
    """

    factors: Float32[np.ndarray, "n p q"]
    accepted: Bool[np.ndarray, "n p q"]
    noise_floor: float
    aligned: bool = False
    metric: Float32[np.ndarray, "d d"] | None = None
    labels: PatchLabels | None = None

    @cached_property
    def keep(self) -> Bool[np.ndarray, "n p q"]:
        """The patches that are kept, that is, trusted."""
        if self.labels is None:
            return self.accepted
        overruled = self.labels.excluded | self.labels.ignored
        return np.asarray((self.accepted | self.labels.confirmed) & ~overruled)

    @property
    def untrusted(self) -> Bool[np.ndarray, "n p q"]:
        """The patches that the discriminator alone rejected: they lower scores a little. Excluded ones do nothing."""
        if self.labels is None:
            return np.asarray(~self.keep)
        return np.asarray(~self.keep & ~self.labels.excluded & ~self.labels.ignored)

    def kept_ratio(self, frames: int) -> float:
        """Of the patches of the first so many frames, but for ignored ones, the share that is kept."""
        keep = self.keep[:frames]
        return float((keep if self.labels is None else keep[:, ~self.labels.ignored]).mean())

    @property
    def median_kept(self) -> float:
        """The median factor of kept patches."""
        return float(np.median(self.factors[self.keep]))


def denoise(projected: ProjectedGroups, settings: BuildSettings, progress: StageProgress) -> NoiseMask:
    """Compute outlier factors of the whole window, then cut once over all of its groups."""
    measured = outlier_factors(projected, settings, progress)
    ratio = outlier_ratio(measured.factors, settings)
    rejected = rejected_patches(measured, ratio, settings)
    return NoiseMask(measured.factors, ~rejected, measured.noise_floor, aligned=measured.lof is not None)
