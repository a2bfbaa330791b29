"""Step 2: which patches of a window may be trusted, from their outlier factors."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.outlier_factors import outlier_factors
from softpatch.building.outlier_ratio import outlier_ratio
from softpatch.building.progress import StageProgress
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
    """Per patch of the window: its outlier factor, and whether it is kept, that is, trusted.

    `aligned`: parts lie alike in every frame, and the discriminator measures distances.
    """

    factors: Float32[np.ndarray, "n p q"]
    keep: Bool[np.ndarray, "n p q"]
    noise_floor: float
    aligned: bool = False
    labels: PatchLabels | None = None

    @property
    def untrusted(self) -> Bool[np.ndarray, "n p q"]:
        """The patches that the discriminator alone rejected: they lower scores a little. Excluded ones do nothing."""
        if self.labels is None:
            return np.asarray(~self.keep)
        return np.asarray(~self.keep & ~self.labels.excluded & ~self.labels.ignored)

    @property
    def median_kept(self) -> float:
        """The median factor of kept patches."""
        return float(np.median(self.factors[self.keep]))


def denoise(embeddings: EmbeddingBuffer, settings: BuildSettings, progress: StageProgress) -> NoiseMask:
    """Compute outlier factors of the whole window, then cut once over all of its groups."""
    measured = outlier_factors(embeddings, settings, progress)
    ratio = outlier_ratio(measured.factors, settings)
    rejected = rejected_patches(measured, ratio, settings)
    return NoiseMask(measured.factors, ~rejected, measured.noise_floor, aligned=measured.lof is not None)
