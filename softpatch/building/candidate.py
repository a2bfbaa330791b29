"""Patches on their way to a bank: which of them are trusted, and how they are scored against meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from softpatch.building.denoise import NoiseMask
from softpatch.building.soft_weights import soft_weights
from softpatch.building.subsample import Patches
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import Search
from softpatch.settings import BuildSettings, ScoringRule

SearchMaker = Callable[[Float32[np.ndarray, "m d"]], Search]


@dataclass(frozen=True)
class UnsavedBank:
    """Everything of a bank that scoring needs; the trusted patches come first."""

    patches: Patches
    soft_weights: Float32[np.ndarray, "m"]
    trusted_patches: int
    scoring: ScoringRule

    @property
    def source_frame(self) -> Int32[np.ndarray, "m"]:
        """Which frame of the window each patch is from."""
        return self.patches.frame


def unsaved_bank(patches: Patches, judged: NoiseMask, settings: BuildSettings) -> UnsavedBank:
    """Those patches in a bank's order: the trusted ones, then the doubtful ones, each in the order they came."""
    trusted = trusted_of(patches, judged)
    ordered = patches.rows(np.concatenate([np.flatnonzero(trusted), np.flatnonzero(~trusted)]))
    return UnsavedBank(ordered, weights_of(ordered, judged, settings), int(trusted.sum()), settings.scoring)


def scorer_of(patches: Patches, judged: NoiseMask, settings: BuildSettings, make_search: SearchMaker) -> Scorer:
    """A scorer against them, as if they were a bank already."""
    made = unsaved_bank(patches, judged, settings)
    return Scorer(made, make_search(made.patches.vectors))


def trusted_of(patches: Patches, judged: NoiseMask) -> Bool[np.ndarray, "m"]:
    """Which of them the judge keeps."""
    row, column = patches.position.astype(np.int64).T
    return judged.keep[patches.frame, row, column]  # type: ignore[no-any-return]


def weights_of(patches: Patches, judged: NoiseMask, settings: BuildSettings) -> Float32[np.ndarray, "m"]:
    """Soft weights of bank patches; ones where the settings switch them off."""
    if not settings.soft_weights:
        return np.ones(len(patches), np.float32)
    low, high = settings.soft_weight_low, settings.soft_weight_high
    return soft_weights(patches.factors, median_kept=judged.median_kept, low=low, high=high)
