"""Embeddings of a category's images, computed once and kept on disk by what they are made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deploy.evaluation.array_file import write_array
from deploy.evaluation.protocol.augment import augment
from deploy.evaluation.protocol.split import AUGMENTED
from softpatch.images.decode import decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deploy.evaluation.protocol.split import Setting
    from softpatch.images.folders import LabelledImage
    from softpatch.images.geometry import Geometry
    from softpatch.network.embed import Embedder

BATCH_FRAMES = 16


@dataclass(frozen=True)
class EmbeddingCache:
    """One `.npy` per image, named by the hash of its bytes and of how it was embedded and augmented."""

    folder: Path
    embedder: Embedder
    geometry: Geometry

    def at(self, geometry: Geometry, features: str) -> EmbeddingCache:
        """The same images in another way."""
        return replace(self, embedder=self.embedder.with_features(features), geometry=geometry)

    def batches(
        self, images: Sequence[LabelledImage], setting: Setting = "overlap", *, seed: int = 0
    ) -> Iterator[np.ndarray]:
        """Float32 "n p q d" embeddings in the images' order, in batches; what is missing is computed and kept."""
        for start in range(0, len(images), BATCH_FRAMES):
            yield self._batch(images[start : start + BATCH_FRAMES], setting, seed)

    def _batch(self, images: Sequence[LabelledImage], setting: Setting, seed: int) -> np.ndarray:
        encoded = [image.path.read_bytes() for image in images]
        paths = [self._path(data, setting, seed) for data in encoded]
        missing = [index for index, path in enumerate(paths) if not path.exists()]
        if missing:
            shaped = [self._shaped(encoded[index], setting, seed) for index in missing]
            for index, embedding in zip(missing, self.embedder.embed(np.stack(shaped)), strict=True):
                write_array(paths[index], embedding)
        return np.stack([np.load(path) for path in paths])

    def _shaped(self, encoded: bytes, setting: Setting, seed: int) -> np.ndarray:
        rng = np.random.default_rng([seed, *hashlib.sha256(encoded).digest()[:4]])
        return self.geometry.apply(augment(decode(encoded), setting, rng=rng))

    def _path(self, encoded: bytes, setting: Setting, seed: int) -> Path:
        made_from = [self.embedder.graph_hash, self.embedder.features, self.geometry.model_dump_json()]
        if setting in AUGMENTED:
            made_from.append(f"{setting} {seed}")
        name = hashlib.sha256("\n".join(made_from).encode() + encoded).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"
