"""The distance between two images of the same thing: below it a difference is only noise."""

import numpy as np
from jaxtyping import Float32

from softpatch.discriminators.neighbours import by_position, nearest_others

_PERCENTILE = 1.0
_POSITIONS = 256
"""Positions measured, spread over the grid: the percentile of 256 positions x frames does not move with more."""


def noise_floor(embeddings: Float32[np.ndarray, "n p q d"]) -> float:
    """1st percentile of the L2 distances from each patch to the nearest of its position in another frame.

    Zero distances are left out: a bit-identical copy is no evidence of noise, and half a picture of static background
    would put the floor at 0, which is no floor. It is 0 only where every frame is a copy or there is one frame alone.
    """
    if len(embeddings) < 2:  # noqa: PLR2004 - one frame has no other
        return 0.0
    every = max(1, embeddings.shape[1] * embeddings.shape[2] // _POSITIONS)
    distances = np.concatenate(
        [nearest_others(patches, 1)[0].ravel() for _, patches in by_position(embeddings, every=every)]
    )
    positive = distances[distances > 0]
    return float(np.percentile(positive, _PERCENTILE)) if len(positive) else 0.0
