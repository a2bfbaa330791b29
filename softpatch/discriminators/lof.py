"""SoftPatch's local outlier factor: a patch in a sparser neighbourhood than its neighbours' is an outlier."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numba import njit

from softpatch.discriminators.neighbours import nearest_others, per_position

_TINY = np.float32(1e-10)
"""Added to the mean reach distance, as scikit-learn does, so that copies divide by something."""


class Lof:
    """SoftPatch Eq. 4 to 6 (Breunig et al. 2000), position by position across frames.

    Deviation: reach distances are at least the noise floor. Without it a patch beside copies has a factor without
    bound, and a static background is 0/0. With fewer than k other frames, k is all of them.
    """

    def __init__(self, k: int = 6) -> None:
        if k < 1:
            raise ValueError(f"k is {k}; LOF needs at least one neighbour")
        self._k = k

    def factors(
        self, embeddings: Float32[np.ndarray, "n p q d"], *, noise_floor: float
    ) -> Float32[np.ndarray, "n p q"]:
        """About 1 for a patch among similar ones; ones where there is no other frame."""
        k = min(self._k, len(embeddings) - 1)
        if k < 1:
            return np.ones(embeddings.shape[:3], np.float32)
        floor = np.float32(noise_floor)
        return per_position(embeddings, lambda patches: _lof(*nearest_others(patches, k), floor, _TINY))


@njit(cache=True, nogil=True)
@no_type_check
def _lof(distance, neighbour, floor, tiny):  # noqa: ANN001, ANN202 - numba infers them
    positions, frames, k = distance.shape
    density = np.empty(frames, np.float32)
    factors = np.empty((positions, frames), np.float32)
    for p in range(positions):
        for i in range(frames):
            reach = np.float32(0)
            for n in range(k):  # Eq. 5: dist_k of the neighbour, or the distance to it if that is larger
                reach += max(distance[p, neighbour[p, i, n], k - 1], distance[p, i, n], floor)
            density[i] = 1 / (reach / k + tiny)  # Eq. 4
        for i in range(frames):
            around = np.float32(0)
            for n in range(k):
                around += density[neighbour[p, i, n]]
            factors[p, i] = around / (k * density[i])  # Eq. 6
    return factors
