"""Soft weights: distances to a bank patch that was itself an outlier count for more."""

import numpy as np
from jaxtyping import Float32


def soft_weights(
    factors: Float32[np.ndarray, "m"], *, median_kept: float, low: float, high: float
) -> Float32[np.ndarray, "m"]:
    """Factors in units of the kept patches' median, clipped to [low, high] (SoftPatch Eq. 8's W(m*)).

    Deviation: the paper takes the factor itself. One bank patch with a factor of 50 would then fail every frame near
    it, and a score would change its units with the discriminator.
    """
    if not median_kept > 0:
        return np.ones_like(factors)  # most kept patches are copies: nothing to compare a factor with
    return np.clip(factors / np.float32(median_kept), np.float32(low), np.float32(high))
