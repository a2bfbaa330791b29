"""The nearest bank patch on a GPU: FAISS's flat index over vectors rounded to fp16, behind the same Protocol."""

import faiss
import numpy as np
from jaxtyping import Float32

from softpatch.search import Nearest, NoNeighbour, Patches


class NoGpu(RuntimeError):
    """This FAISS cannot search on a GPU here; the message says why."""


class GpuFlatSearch:
    """Exact over fp16-rounded vectors: a nearly equal neighbour may be taken, at its distance in full precision.

    Raises:
        NoGpu: FAISS is built without GPU support, or sees no GPU.
    """

    def __init__(self, bank: Patches) -> None:
        if not hasattr(faiss, "StandardGpuResources"):
            raise NoGpu("this faiss is built for the CPU; install patchline[gpu] instead of patchline[cpu]")
        if faiss.get_num_gpus() == 0:
            raise NoGpu("faiss sees no GPU; check the driver and CUDA_VISIBLE_DEVICES")
        self._bank = np.ascontiguousarray(bank)
        self._resources = faiss.StandardGpuResources()  # the index does not keep it alive
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        self._index = faiss.GpuIndexFlatL2(self._resources, bank.shape[1], config)
        self._index.add(self._bank)

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        row = np.asarray(self._index.search(np.ascontiguousarray(queries), 1)[1][:, 0], np.int64)
        if (row < 0).any():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return Nearest(np.linalg.norm(queries - self._bank[row], axis=1), row)
