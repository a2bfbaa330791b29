"""Whether parts lie alike in every frame of a window, or turned and shifted."""

import numpy as np
from jaxtyping import Float32

ALIGNED_RATIO = 0.45
"""Parts lie alike in every frame where the alignment ratio is above this: measured 0.29 to 0.32 on turned screws,
0.56 to 0.66 on three aligned lines."""


def parts_are_aligned(projected: Float32[np.ndarray, "n p q d"], factors: Float32[np.ndarray, "n p q"]) -> bool:
    """Whether the alignment ratio is above its limit; the factors must be L2 distances."""
    return alignment_ratio(projected, factors) > ALIGNED_RATIO


def alignment_ratio(projected: Float32[np.ndarray, "n p q d"], factors: Float32[np.ndarray, "n p q"]) -> float:
    """Median of outlier factor over distance to another frame's patch at the same position, of the 15 % most outlying.

    The factors must be L2 distances. The ratio is near 1 where every frame shows the same things at the same places, so
    that a search finds nothing nearer than a frame taken at random; it is low where parts are turned and shifted.
    """
    half = (np.arange(len(projected)) + len(projected) // 2) % len(projected)
    outlying = factors >= np.quantile(factors, 0.85)
    distance = np.linalg.norm(projected[outlying] - projected[half][outlying], axis=1)
    apart = distance > 0
    return float(np.median(factors[outlying][apart] / distance[apart])) if apart.any() else 1.0
