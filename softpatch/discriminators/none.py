"""No discrimination: PatchCore, which trusts its training set."""

import numpy as np
from jaxtyping import Float32


class NoDiscrimination:
    """Every patch has the same factor."""

    def factors(
        self,
        embeddings: Float32[np.ndarray, "n p q d"],
        *,
        noise_floor: float,  # noqa: ARG002 - the Protocol's
    ) -> Float32[np.ndarray, "n p q"]:
        """Ones."""
        return np.ones(embeddings.shape[:3], np.float32)
