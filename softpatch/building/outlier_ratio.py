"""The share of a window's patches that count as outliers."""

import numpy as np
from jaxtyping import Float32

from softpatch.calibration.extreme_value import noise_share
from softpatch.settings import BuildSettings

OUTLIER_RATIO, AUTO_FACTOR = 0.15, 1.5
"""SoftPatch's own share of patches, and how many times the share of defective frames that is."""


def outlier_ratio(factors: Float32[np.ndarray, "n p q"], settings: BuildSettings) -> float:
    """The share of patches that count as outliers: as set, or estimated from the factors.

    `auto` estimates the share of defective frames as that which no distribution of good ones explains, by frames' worst
    factors (softpatch/calibration/extreme_value.py), and takes half as much again of the patches: 15 % at 10 %
    defective frames, as published. Where frames are rejected, `auto` is the published 15 %.
    """
    if settings.noise_ratio != "auto":
        return settings.noise_ratio
    if settings.removal == "frames":
        return OUTLIER_RATIO
    return AUTO_FACTOR * noise_share(factors.reshape(len(factors), -1).max(axis=1))
