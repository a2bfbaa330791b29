"""One seeded Gaussian projection, shared by discriminator and coreset; search keeps the full dimension."""

import numpy as np
from jaxtyping import Float32


def projection_matrix(dimension: int, dims: int, *, seed: int) -> Float32[np.ndarray, "dimension k"]:
    """Matrix that keeps L2 distances in expectation while it shrinks `dimension` to at most `dims`.

    A dimension that is small enough already is left alone: a random square matrix would only add noise.
    """
    if dimension <= dims:
        return np.eye(dimension, dtype=np.float32)
    drawn = np.random.default_rng(seed).standard_normal((dimension, dims))
    return np.asarray(drawn / np.sqrt(dims), np.float32)


def project(
    embeddings: Float32[np.ndarray, "*axes dimension"], matrix: Float32[np.ndarray, "dimension k"]
) -> Float32[np.ndarray, "*axes k"]:
    """The embeddings under the matrix, in one GEMM."""
    flat = np.asarray(embeddings.reshape(-1, matrix.shape[0]) @ matrix)
    return flat.reshape(*embeddings.shape[:-1], matrix.shape[1])
