"""The nearest bank patch on a GPU: FAISS's flat index over vectors rounded to fp16, behind the same Protocol."""

from functools import cached_property

import faiss
import numpy as np
from jaxtyping import Float32

from softpatch.scoring.search import (
    SECOND_FRAME_DEPTH,
    FrameOfRow,
    Nearest,
    NoNeighbour,
    TwoFrameNearest,
    Vectors,
    second_frame_among,
)


class NoGpu(RuntimeError):
    """This FAISS cannot search on a GPU here; the message says why."""


class GpuFlatSearch:
    """Exact over fp16-rounded vectors: a nearly equal neighbour may be taken, at its distance in full precision.

    Raises:
        NoGpu: FAISS is built without GPU support, or sees no GPU.
    """

    def __init__(self, bank: Vectors, *, resources: "faiss.StandardGpuResources | None" = None) -> None:
        """`resources`: those of a search that is used by the same thread; FAISS reserves scratch memory for each."""
        if not hasattr(faiss, "StandardGpuResources"):
            raise NoGpu("this faiss is built for the CPU; install patchline[gpu-cu12] for its search")
        if faiss.get_num_gpus() == 0:
            raise NoGpu("faiss sees no GPU; check the driver and CUDA_VISIBLE_DEVICES")
        self._bank = np.ascontiguousarray(bank)
        self._resources = resources or faiss.StandardGpuResources()  # the index does not keep it alive

    @cached_property
    def _index(self) -> "faiss.GpuIndexFlatL2":
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        index = faiss.GpuIndexFlatL2(self._resources, self._bank.shape[1], config)
        index.add(self._bank)
        return index

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        row = self._rows(queries, 1)[:, 0]
        return Nearest(np.linalg.norm(queries - self._bank[row], axis=1), row)

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search."""
        return second_frame_among(queries, self._bank, frames, self._rows(queries, SECOND_FRAME_DEPTH))

    def part(self, rows: slice) -> "GpuFlatSearch":
        """See Search."""
        return GpuFlatSearch(self._bank[rows], resources=self._resources)

    def _rows(self, queries: np.ndarray, count: int) -> np.ndarray:
        count = max(1, min(count, len(self._bank)))
        rows = np.asarray(self._index.search(np.ascontiguousarray(queries), count)[1], np.int64)
        if (rows < 0).any():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return rows
