"""PaDiM: a Gaussian per grid position, as a scorer of its own and as the denoiser that drops whole frames."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from softpatch.scoring.score import FrameScore

PADIM_DIMENSIONS = 100
EPSILON = 0.01
_POSITIONS_AT_ONCE = 64


@dataclass(frozen=True)
class Padim:
    """A Gaussian per position over `PADIM_DIMENSIONS` seeded dimensions of the embedding (Defard et al., ICPR 2020).

    `whitening` is the inverse Cholesky factor of each covariance: the Mahalanobis distance is the length of
    whitening @ (patch - mean). Epsilon is added to unnormalised features, as the paper does.
    """

    dimensions: Int64[np.ndarray, "d"]
    mean: Float32[np.ndarray, "p q d"]
    whitening: Float32[np.ndarray, "p q d d"]

    @classmethod
    def fit(cls, embeddings: Float32[np.ndarray, "n p q full"], *, seed: int) -> "Padim":
        """Learn from every frame of a window, two or more (SoftPatch Eq. 2 is the same covariance)."""
        frames, rows, columns, full = embeddings.shape
        if frames < 2:  # noqa: PLR2004 - one frame has no covariance
            raise ValueError(f"{frames} frame has no covariance: PaDiM needs at least 2")
        chosen = np.sort(np.random.default_rng(seed).permutation(full)[:PADIM_DIMENSIONS])
        flat = embeddings[..., chosen].reshape(frames, rows * columns, len(chosen))
        mean = flat.mean(axis=0, dtype=np.float64)
        whitening = np.empty((rows * columns, len(chosen), len(chosen)), np.float32)
        for start in range(0, rows * columns, _POSITIONS_AT_ONCE):
            part = slice(start, start + _POSITIONS_AT_ONCE)
            centred = (flat[:, part] - mean[part]).swapaxes(0, 1)
            covariance = centred.swapaxes(1, 2) @ centred / (frames - 1) + EPSILON * np.eye(len(chosen))
            whitening[part] = np.linalg.inv(np.linalg.cholesky(covariance))
        grid = (rows, columns, len(chosen))
        return cls(chosen, mean.astype(np.float32).reshape(grid), whitening.reshape(*grid, len(chosen)))

    def score(self, embeddings: Float32[np.ndarray, "n p q full"]) -> list[FrameScore]:
        """Mahalanobis distance of every patch to its own position; `nearest_row` is that position, row-major."""
        centred = embeddings[..., self.dimensions] - self.mean
        whitened = np.einsum("pqij,npqj->npqi", self.whitening, centred, optimize=True)
        distance = np.linalg.norm(whitened, axis=-1)
        position = np.arange(distance[0].size).reshape(distance.shape[1:])
        return [FrameScore(float(frame.max()), frame, position) for frame in distance]


def trusted_frames(scores: Float32[np.ndarray, "n"], noise_ratio: float) -> Int64[np.ndarray, "kept"]:
    """Image-level denoising: the frames that are left, in order, when the worst `noise_ratio` of them are dropped."""
    kept = len(scores) - int(len(scores) * noise_ratio)
    return np.sort(np.argsort(scores, kind="stable")[:kept])
