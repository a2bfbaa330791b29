"""One seeded Gaussian projection, shared by discriminator and coreset; search keeps the full dimension."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32

from softpatch.building.embedding_buffer import EmbeddingBuffer
from softpatch.building.frame_groups import interleaved_groups
from softpatch.settings import BuildSettings


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


@dataclass(frozen=True)
class ProjectedGroups:
    """A window in interleaved groups, projected when they are read: memory holds one group however long it is.

    A window of one group is projected once, and its projections are kept: 154 MB of 384 frames of 784 patches.
    """

    embeddings: EmbeddingBuffer
    groups: Sequence[range]
    matrix: Float32[np.ndarray, "d k"]

    def __iter__(self) -> Iterator[tuple[range, Float32[np.ndarray, "m p q k"]]]:
        """The frames of each group, and their projected embeddings."""
        return ((group, self.first if len(self.groups) == 1 else self.take(group)) for group in self.groups)

    @property
    def first(self) -> Float32[np.ndarray, "m p q k"]:
        """The first group: as all of them, a sample of the whole window."""
        return self._whole if len(self.groups) == 1 else self.take(self.groups[0])

    @cached_property
    def _whole(self) -> Float32[np.ndarray, "n p q k"]:
        return self.take(self.groups[0])

    def take(self, frames: range) -> Float32[np.ndarray, "m p q k"]:
        """The projected embeddings of those frames."""
        return project(self.embeddings.take(frames), self.matrix)

    def kept(self, frame: int, keep: Bool[np.ndarray, "p q"]) -> Float32[np.ndarray, "kept k"]:
        """The projected patches of a frame that are kept."""
        if len(self.groups) == 1:
            return np.asarray(self._whole[frame][keep])
        return np.asarray(self.embeddings.take(range(frame, frame + 1))[0][keep] @ self.matrix)


def projected_groups(
    embeddings: EmbeddingBuffer, settings: BuildSettings, metric: Float32[np.ndarray, "d d"] | None = None
) -> ProjectedGroups:
    """The window's interleaved groups, by the metric if there is one, then by the projection of the settings.

    Raises ValueError for a window of no frames.
    """
    matrix = projection_matrix(embeddings.dimension, settings.projection_dims, seed=settings.seed)
    matrix = matrix if metric is None else np.asarray(metric @ matrix)
    groups = interleaved_groups(range(len(embeddings)), settings.group_frames)
    if not groups:
        raise ValueError("a window of no frames has no outlier factors")
    return ProjectedGroups(embeddings, groups, matrix)
