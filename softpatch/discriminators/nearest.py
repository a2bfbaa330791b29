"""SoftPatch's nearest-neighbour discriminator: a patch far from every other is an outlier."""

import numpy as np
from jaxtyping import Float32

from softpatch.discriminators.neighbours import nearest_others, per_position


class NearestFrame:
    """SoftPatch Eq. 1: L2 distance to the nearest patch of another frame at the same position, at least the floor.

    Blind to any defect that repeats at its place.
    """

    def factors(
        self, embeddings: Float32[np.ndarray, "n p q d"], *, noise_floor: float
    ) -> Float32[np.ndarray, "n p q"]:
        """Distances; ones where there is no other frame, so that nothing stands out."""
        if len(embeddings) < 2:  # noqa: PLR2004 - one frame has no other
            return np.ones(embeddings.shape[:3], np.float32)
        return per_position(
            embeddings, lambda patches: np.maximum(nearest_others(patches, 1)[0][..., 0], np.float32(noise_floor))
        )
