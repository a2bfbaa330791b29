"""The nearest bank patch on a GPU: FAISS's flat index over vectors rounded to fp16, behind the same Protocol."""

import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock, RLock
from typing import Any

import faiss
import numpy as np
from jaxtyping import Float32

from softpatch.scoring.search import (
    SECOND_FRAME_DEPTH,
    BruteSearch,
    FrameOfRow,
    Nearest,
    NoNeighbour,
    Search,
    TwoFrameNearest,
    Vectors,
    second_frame_among,
)

TEMPORARY_BYTES = 256 << 20
"""Scratch memory on the GPU, reserved once for all searches of a process; FAISS reserves 1.5 GiB by itself."""

PROBE = (sys.executable, "-m", "softpatch.scoring.gpu_search")
PROBE_SECONDS = 120.0
MOST_DIFFERENCE = 1e-3
"""By what share of itself rounding the vectors to fp16 may make a nearest patch farther, in the probe."""


class NoGpu(RuntimeError):
    """A search on a GPU is not possible here; the message says why."""


class SharedGpu:
    """FAISS's resources, which all searches of a process share, and the lock that every use of them takes.

    FAISS allows one thread at a time to make, search or free indexes of one resource object. The lock is one that its
    own thread may take again: an index may be freed by a collection at any place.
    """

    def __init__(self) -> None:
        self.lock = RLock()
        self.resources = faiss.StandardGpuResources()
        self.resources.setTempMemory(TEMPORARY_BYTES)


class GpuFlatSearch:
    """Exact over fp16-rounded vectors: a nearly equal neighbour may be taken, at its distance in full precision."""

    def __init__(self, bank: Vectors, *, gpu: SharedGpu | None = None) -> None:
        """`gpu`: by default the one that all searches of this process share. Raises NoGpu where there is none."""
        self._gpu = gpu or shared_gpu()
        self._bank = np.ascontiguousarray(bank)
        self._made: list[faiss.GpuIndexFlatL2] = []
        weakref.finalize(self, _free, self._made, self._gpu.lock).atexit = False

    def nearest(self, queries: Float32[np.ndarray, "n d"]) -> Nearest:
        """See Search."""
        row = self._rows(queries, 1)[:, 0]
        return Nearest(np.linalg.norm(queries - self._bank[row], axis=1), row)

    def nearest_two_frames(self, queries: Float32[np.ndarray, "n d"], frames: FrameOfRow) -> TwoFrameNearest:
        """See Search."""
        return second_frame_among(queries, self._bank, frames, self._rows(queries, SECOND_FRAME_DEPTH))

    def part(self, rows: slice) -> "GpuFlatSearch":
        """See Search."""
        return GpuFlatSearch(self._bank[rows], gpu=self._gpu)

    def _rows(self, queries: np.ndarray, count: int) -> np.ndarray:
        count = max(1, min(count, len(self._bank)))
        with self._gpu.lock:
            found = self._index().search(np.ascontiguousarray(queries), count)[1]
        rows = np.asarray(found, np.int64)
        if (rows < 0).any():
            raise NoNeighbour(bank_patches=len(self._bank), queries=len(queries))
        return rows

    def _index(self) -> "faiss.GpuIndexFlatL2":
        """Made at the first search, under the lock: a bank that is searched in parts needs none of the whole."""
        if not self._made:
            config = faiss.GpuIndexFlatConfig()
            config.useFloat16 = True
            index = faiss.GpuIndexFlatL2(self._gpu.resources, self._bank.shape[1], config)
            index.add(self._bank)
            self._made.append(index)
        return self._made[0]


def _free(made: list[Any], lock: Any) -> None:  # noqa: ANN401 - typeshed has no name for an RLock
    with lock:
        made.clear()


_MAKING = Lock()


@cache
def _made() -> SharedGpu:
    return SharedGpu()


def shared_gpu() -> SharedGpu:
    """The one of this process, made at the first call.

    Raises:
        NoGpu: FAISS is built without GPU support, or sees no GPU.
    """
    _refuse_cpu_build()
    with _MAKING:
        if faiss.get_num_gpus() == 0:
            raise NoGpu("faiss sees no GPU; check the driver and CUDA_VISIBLE_DEVICES")
        return _made()


def faiss_on_gpu(probe: Sequence[str] = PROBE) -> type[GpuFlatSearch]:
    """The search, once a process of its own has searched: FAISS ends its process where CUDA reports an error.

    Raises:
        NoGpu: FAISS is built without GPU support, or the probe failed; the message has the last line that it wrote.
    """
    _refuse_cpu_build()
    try:
        ended = subprocess.run(  # noqa: S603 - our own module, or a test's program
            probe, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise NoGpu(f"faiss did not search on the GPU within {PROBE_SECONDS:g} s") from None
    if ended.returncode:
        code = ended.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        said = (ended.stderr.strip().splitlines() or ["it wrote nothing"])[-1]
        raise NoGpu(f"faiss, tried in a process of its own, ended by {how}: {said}")
    return GpuFlatSearch


def _refuse_cpu_build() -> None:
    if not hasattr(faiss, "StandardGpuResources"):
        raise NoGpu("this faiss is built for the CPU; install patchline[gpu-cu12] for its search")


def refuse_wrong(make: Callable[[Vectors], Search]) -> None:
    """Search once and hold what is found against the definition. Raises NoGpu."""
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(500, 48)).astype(np.float32), rng.normal(size=(37, 48)).astype(np.float32)
    found, expected = make(bank).nearest(queries), BruteSearch(bank).nearest(queries)
    worst = float(np.abs(found.distance / expected.distance - 1).max())
    if not worst <= MOST_DIFFERENCE:
        raise NoGpu(f"the patches that it finds are farther than the nearest, by {worst:.2%}")


if __name__ == "__main__":
    try:
        refuse_wrong(GpuFlatSearch)
    except NoGpu as reason:
        sys.exit(str(reason))
