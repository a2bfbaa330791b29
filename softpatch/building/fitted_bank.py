"""A bank without its calibration: the patches of its coresets, and the weight of each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

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
    ignored: Bool[np.ndarray, "p q"] | None = None
    negative_vectors: Float32[np.ndarray, "k d"] | None = None
    metric: Float32[np.ndarray, "d d"] | None = None
    position_weights: Float32[np.ndarray, "p q"] | None = None

    @property
    def confirmed(self) -> Bool[np.ndarray, "m"]:
        """Which patches are of frames that a person called good."""
        return self.patches.confirmed

    @property
    def source_frame(self) -> Int32[np.ndarray, "m"]:
        """Which frame of the window each patch is from."""
        return self.patches.frame

    @property
    def second_frame_within(self) -> Float32[np.ndarray, "m"]:
        """At what distance from each patch lie those of other frames, of two blocks of time, picked or not."""
        return self.patches.second_frame_within

    def scorer(self, make_search: SearchMaker) -> Scorer:
        """A scorer against these patches."""
        return Scorer(self, make_search(self.patches.vectors))


def fitted_bank(coresets: Sequence[Sequence[Patches]], mask: NoiseMask, settings: BuildSettings) -> FittedBank:
    """The bank of those coresets, each given in parts: the trusted one, then the untrusted one if there is one."""
    parts = [part for coreset in coresets for part in coreset]
    patches = Patches(
        vectors=np.concatenate([part.vectors for part in parts]),
        factors=np.concatenate([part.factors for part in parts]),
        frame=np.concatenate([part.frame for part in parts]),
        position=np.concatenate([part.position for part in parts]),
        confirmed=np.concatenate([part.confirmed for part in parts]),
        second_frame_within=np.concatenate([part.second_frame_within for part in parts]),
    )
    trusted = sum(len(part) for part in coresets[0])
    weights = np.ones(len(patches), np.float32)
    if settings.soft_weights:
        low, high = settings.soft_weight_low, settings.soft_weight_high
        weights = soft_weights(patches.factors, median_kept=mask.median_kept, low=low, high=high)
    ignored = None if mask.labels is None or not mask.labels.ignored.any() else mask.labels.ignored
    negatives = None if mask.labels is None else mask.labels.negatives
    return FittedBank(patches, weights, trusted, settings.scoring, ignored, negatives, mask.metric)
