"""A frame's embedding in 32 numbers: enough to see drift, small enough for every decision."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float32

SKETCH_FLOATS = 32


@lru_cache(maxsize=16)
def _matrix(dimension: int, graph_hash: str) -> Float32[np.ndarray, "dimension 32"]:
    seed = int.from_bytes(graph_hash.encode(), "big")
    drawn = np.random.default_rng(seed).standard_normal((dimension, SKETCH_FLOATS))
    return np.asarray(drawn / np.sqrt(SKETCH_FLOATS), np.float32)


def sketch(embedding: Float32[np.ndarray, "p q d"], graph_hash: str) -> Float32[np.ndarray, "32"]:
    """The mean patch of one frame under a projection that only the graph decides.

    Sketches of the same graph compare across banks, builds and services, whatever their seeds.
    """
    return sketch_of_mean(mean_patch(embedding), graph_hash)


def mean_patch(embedding: Float32[np.ndarray, "p q d"]) -> Float32[np.ndarray, "d"]:
    """The mean over all patches of a frame."""
    return np.asarray(embedding.mean(axis=(0, 1), dtype=np.float64).astype(np.float32))


def sketch_of_mean(mean: Float32[np.ndarray, "d"], graph_hash: str) -> Float32[np.ndarray, "32"]:
    """The sketch of a frame whose mean patch this is."""
    return np.asarray(mean @ _matrix(len(mean), graph_hash))
