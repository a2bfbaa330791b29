"""How much each direction of an embedding counts where parts lie turned, learnt from the window itself.

A patch of a turned part has no place of its own, so the nearest patch of another frame shows the same thing only up to
pose and light. The directions in which those two differ most say least about a defect: they count less.
"""

import numpy as np
from jaxtyping import Float32, Float64

from softpatch.building.embedding_buffer import EmbeddingBuffer

DRAWS, PATCHES, OTHERS = 160, 100, 12
"""How often patches are drawn, how many of one frame, and from how many other frames their nearest ones are."""

FEWEST_FRAMES = 25
"""Of fewer frames, the same pairs would be drawn again and again."""

NEAREST_SHARE = 0.9
"""Of the differences those count that are shortest: the longest are defects'."""

POWER = -0.25
"""What the covariance of differences is raised to: half of whitening, which is -1/2. With all of it, directions count
that hold little but noise."""

RIDGE = 0.1
"""Share of the mean variance that every direction has at least: a few thousand differences do not know the least."""


def patch_metric(embeddings: EmbeddingBuffer, *, frames: int, seed: int) -> Float32[np.ndarray, "d d"] | None:
    """A symmetric matrix; patches are compared by the L2 distance of their embeddings times it.

    From differences between patches of the first `frames` frames and the nearest ones of others. None where there are
    too few frames, or where no patch differs from its nearest.
    """
    if frames < FEWEST_FRAMES:
        return None
    differences = _differences(embeddings, frames, np.random.default_rng(seed))
    squared = np.square(differences).sum(axis=1)
    shortest = differences[squared <= np.quantile(squared, NEAREST_SHARE)].astype(np.float64)
    variance, directions = np.linalg.eigh(_with_ridge(shortest.T @ shortest / len(shortest)))
    if not variance[0] > 0:
        return None
    scaled = (variance / variance.mean()) ** POWER
    return np.asarray((directions * scaled) @ directions.T, np.float32)


def _with_ridge(covariance: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, "d d"]:
    return np.asarray(covariance + RIDGE * np.diag(covariance).mean() * np.eye(len(covariance)))


def _differences(embeddings: EmbeddingBuffer, frames: int, rng: np.random.Generator) -> Float32[np.ndarray, "n d"]:
    """Patches less the nearest ones of other frames."""
    found = []
    for _ in range(DRAWS):
        frame, *others = rng.choice(frames, OTHERS + 1, replace=False).tolist()
        own = embeddings.take(range(frame, frame + 1)).reshape(-1, embeddings.dimension)
        own = own[rng.choice(len(own), min(PATCHES, len(own)), replace=False)]
        found.append(own - _nearest(own, embeddings, others))
    return np.concatenate(found)


def _nearest(
    patches: Float32[np.ndarray, "n d"], embeddings: EmbeddingBuffer, frames: list[int]
) -> Float32[np.ndarray, "n d"]:
    """Of each patch, the nearest one of those frames."""
    nearest, least = np.empty_like(patches), np.full(len(patches), np.inf, np.float32)
    for frame in frames:
        others = embeddings.take(range(frame, frame + 1)).reshape(-1, embeddings.dimension)
        squared = np.square(others).sum(axis=1) - 2 * (patches @ others.T)
        place = squared.argmin(axis=1)
        its = squared[np.arange(len(patches)), place]
        nearer = its < least
        nearest[nearer], least[nearer] = others[place[nearer]], its[nearer]
    return nearest
