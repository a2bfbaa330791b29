"""Embeddings of a simulated line, drawn once per seed and kept: drawing 10,000 frames costs more than using them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from deploy.evaluation.array_file import write_array
from ingest.cameras.simulator import Simulator
from softpatch.images.decode import decode
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.cameras.parts import Variant
    from softpatch.images.geometry import Geometry
    from softpatch.network.embed import Embedder

Parts = Literal["good", "defective"]

_NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

CHUNK_FRAMES = 250
"""Drawn and kept together: 60 MB of half-precision embeddings at 224 px."""


@dataclass(frozen=True)
class SimulatedLine:
    """The frames of one simulated camera: frame i is good or defective as asked, in the light of moment i.

    Embeddings are kept in half precision, which moves a distance by less than 1e-3 of itself.
    """

    variant: Variant
    seed: int
    folder: Path
    embedder: Embedder
    geometry: Geometry
    chunk_frames: int = CHUNK_FRAMES

    def batches(self, parts: Parts, frames: range) -> Iterator[np.ndarray]:
        """Float32 "n p q d" embeddings of those frames, in order, at most a chunk at a time."""
        size = self.chunk_frames
        for first in range(frames.start // size * size, frames.stop, size):
            begin, end = max(frames.start, first), min(frames.stop, first + size)
            yield self._chunk(parts, range(first, first + size))[begin - first : end - first].astype(np.float32)

    def _chunk(self, parts: Parts, frames: range) -> np.ndarray:
        path = self._home / f"{parts}-{frames.start}-{frames.stop}.npy"
        if not path.exists():
            write_array(path, self._embedded(parts, frames))
        return np.asarray(np.load(path, mmap_mode="r"))

    def _embedded(self, parts: Parts, frames: range) -> np.ndarray:
        camera = self._camera(parts)
        with ThreadPoolExecutor(available_cores(), "simulator") as pool:
            shaped = list(pool.map(lambda i: self.geometry.apply(decode(camera.frame(i).encoded)), frames))
        return self.embedder.embed(np.stack(shaped)).astype(np.float16)

    @staticmethod
    def clock() -> datetime:
        """Frames carry a time, which no embedding shows."""
        return _NOON

    @cached_property
    def _home(self) -> Path:
        """Named by what embeddings are made from, the drawing itself included: its first good frame stands for it."""
        made_from = [
            self.embedder.graph_hash,
            self.embedder.features,
            self.geometry.model_dump_json(),
            self.variant,
            str(self.seed),
        ]
        drawn = self._camera("good").frame(0).encoded
        return self.folder / f"simulator-{hashlib.sha256('|'.join(made_from).encode() + drawn).hexdigest()[:32]}"

    def _camera(self, parts: Parts) -> Simulator:
        defect_ratio = float(parts == "defective")
        return Simulator(self.variant, seed=self.seed, clock=self.clock, defect_ratio=defect_ratio)
