"""A bank without its calibration: the patches of its coresets, and the weight of each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from softpatch.building.denoise import NoiseMask
from softpatch.building.patches import Patches
from softpatch.building.soft_weights import soft_weights
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import Search
from softpatch.settings import BuildSettings, ScoringRule

SearchMaker = Callable[[Float32[np.ndarray, "m d"]], Search]


@dataclass(frozen=True)
class FittedBank:
    """All that scoring needs of a bank; the trusted patches come first."""

    patches: Patches
    soft_weights: Float32[np.ndarray, "m"]
    trusted_patches: int
    scoring: ScoringRule

    @property
    def source_frame(self) -> Int32[np.ndarray, "m"]:
        """Which frame of the window each patch is from."""
        return self.patches.frame

    def scorer(self, make_search: SearchMaker) -> Scorer:
        """A scorer against these patches."""
        return Scorer(self, make_search(self.patches.vectors))


def fitted_bank(patches: Patches, trusted_patches: int, mask: NoiseMask, settings: BuildSettings) -> FittedBank:
    """The bank of those patches, of which the first ones are trusted."""
    weights = np.ones(len(patches), np.float32)
    if settings.soft_weights:
        low, high = settings.soft_weight_low, settings.soft_weight_high
        weights = soft_weights(patches.factors, median_kept=mask.median_kept, low=low, high=high)
    return FittedBank(patches, weights, trusted_patches, settings.scoring)
