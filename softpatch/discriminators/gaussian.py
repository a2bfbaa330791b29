"""SoftPatch's Gaussian discriminator: a patch far from its position's mean, in its position's own units."""

import numpy as np
from jaxtyping import Float32

from softpatch.discriminators.neighbours import per_position


class Gaussian:
    """SoftPatch Eq. 2 and 3: Mahalanobis distance to all frames' patches at that position, the patch's own included.

    Deviation: `epsilon` (PaDiM's 0.01) grows by the variance per dimension of which the noise floor is the distance
    (E |a - b|^2 = 2 d sigma^2), so that noise at a static position gets no large factor.
    """

    def __init__(self, epsilon: float = 0.01) -> None:
        self._epsilon = epsilon

    def factors(
        self, embeddings: Float32[np.ndarray, "n p q d"], *, noise_floor: float
    ) -> Float32[np.ndarray, "n p q"]:
        """Mahalanobis distances; ones where there is one frame only, so that nothing stands out."""
        if len(embeddings) < 2:  # noqa: PLR2004 - one frame has no covariance
            return np.ones(embeddings.shape[:3], np.float32)
        epsilon = self._epsilon + noise_floor**2 / (2 * embeddings.shape[-1])
        return per_position(embeddings, lambda patches: _mahalanobis(patches, epsilon))


def _mahalanobis(patches: Float32[np.ndarray, "positions n d"], epsilon: float) -> Float32[np.ndarray, "positions n"]:
    """Of patches that are centred already. In float64: a window of fewer frames than dimensions is near-singular."""
    exact = patches.astype(np.float64)
    covariance = exact.swapaxes(1, 2) @ exact / (patches.shape[1] - 1) + epsilon * np.eye(patches.shape[2])
    whitened = np.linalg.solve(covariance, exact.swapaxes(1, 2))
    return np.asarray(np.sqrt(np.einsum("pnd,pdn->pn", exact, whitened)), np.float32)
