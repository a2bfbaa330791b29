"""The interface of every noise discriminator."""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32


@runtime_checkable
class Discriminator(Protocol):
    """Finite outlier factors, one per patch: the larger, the more suspicious.

    `embeddings` are one group of frames, projected; `noise_floor` is the L2 distance below which differences are noise.
    """

    def factors(
        self, embeddings: Float32[np.ndarray, "n p q d"], *, noise_floor: float
    ) -> Float32[np.ndarray, "n p q"]:
        """One factor per patch; the order of frames does not matter."""
        ...
