"""Without a GPU the GPU searches are refused with the reason; with one, they find what the definition finds."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pytest

from softpatch.scoring import gpu_search
from softpatch.scoring.gpu_search import GpuFlatSearch, NoGpu, SharedGpu, faiss_on_gpu, refuse_wrong, shared_gpu
from softpatch.scoring.search import BruteSearch
from softpatch.scoring.torch_search import torch_on_gpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from softpatch.scoring.search import Nearest

HAS_GPU = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0

cpu_build = pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this faiss is built for GPUs")
without_gpu = pytest.mark.skipif(HAS_GPU, reason="there is a GPU")


class Resources:
    """FAISS's, on the CPU; counts how many there are."""

    made = 0

    def __init__(self) -> None:
        Resources.made += 1

    def setTempMemory(self, size: int) -> None:  # noqa: N802 - FAISS's name
        """As FAISS's."""
        self.temporary_bytes = size


class Index:
    """FAISS's GPU index, on the CPU; notes where two threads are at one resource object, or use it without its lock."""

    wrong: list[str]
    gpu: SharedGpu
    busy = threading.Lock()

    def __init__(self, resources: Resources, dimension: int, config: Config) -> None:
        assert config.useFloat16
        assert resources is self.gpu.resources
        self._flat = faiss.IndexFlatL2(dimension)

    def add(self, bank: np.ndarray) -> None:
        """As FAISS's."""
        self._use()
        self._flat.add(bank)

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """As FAISS's."""
        self._use()
        return self._flat.search(queries, count)

    def __del__(self) -> None:
        self._use()

    def _use(self) -> None:
        if not self.gpu.lock._is_owned():
            self.wrong.append("without the lock")
        if not self.busy.acquire(blocking=False):
            self.wrong.append("two at once")
            return
        time.sleep(0.001)
        self.busy.release()


class Config:
    """FAISS's."""

    useFloat16 = False  # noqa: N815 - FAISS's name


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedGpu]:
    """A faiss whose GPU is the CPU, and what is shared of it."""
    monkeypatch.setattr(Resources, "made", 0)
    monkeypatch.setattr(faiss, "StandardGpuResources", Resources, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatConfig", Config, raising=False)
    monkeypatch.setattr(faiss, "GpuIndexFlatL2", Index, raising=False)
    gpu_search._made.cache_clear()
    shared = shared_gpu()
    monkeypatch.setattr(Index, "gpu", shared, raising=False)
    monkeypatch.setattr(Index, "wrong", [], raising=False)
    yield shared
    gpu_search._made.cache_clear()


@cpu_build
def test_a_faiss_for_the_cpu_is_refused_with_what_to_install() -> None:
    """Never a silent fall back: the caller decides."""
    for made in (lambda: GpuFlatSearch(np.eye(4, dtype=np.float32)), faiss_on_gpu):
        with pytest.raises(NoGpu) as caught:
            made()
        assert str(caught.value) == "this faiss is built for the CPU; install patchline[gpu-cu12] for its search"


@without_gpu
def test_a_machine_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build is right, the driver is not."""
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    with pytest.raises(NoGpu, match="faiss sees no GPU"):
        GpuFlatSearch(np.eye(4, dtype=np.float32))


def test_hundreds_of_views_share_one_resource_object(gpu: SharedGpu) -> None:
    """FAISS reserves scratch memory on the GPU for each: one for all banks, and for the parts they are searched in."""
    with ThreadPoolExecutor(8) as pool:
        searches = list(pool.map(lambda _: GpuFlatSearch(np.eye(4, dtype=np.float32)), range(300)))
    parts = [part for each in searches for part in (each.part(slice(0, 3)), each.part(slice(3, None)))]
    assert {id(each._gpu.resources) for each in (*searches, *parts)} == {id(gpu.resources)}
    assert Resources.made == 1


def test_one_thread_at_a_time_uses_the_resources(gpu: SharedGpu) -> None:
    """Making, searching and freeing, of different banks: FAISS's resources break where two threads do."""
    rng = np.random.default_rng(0)
    banks, queries = rng.normal(size=(24, 30, 6)).astype(np.float32), rng.normal(size=(8, 6)).astype(np.float32)

    def rows(bank: np.ndarray) -> np.ndarray:
        search = GpuFlatSearch(bank)
        search.nearest(queries)
        return search.part(slice(0, None)).nearest(queries).row

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(rows, banks))
    for bank, its_rows in zip(banks, found, strict=True):
        np.testing.assert_array_equal(its_rows, BruteSearch(bank).nearest(queries).row)
    assert gpu.resources.temporary_bytes == gpu_search.TEMPORARY_BYTES
    assert Index.wrong == []


def program(text: str) -> list[str]:
    """A probe that does this."""
    return [sys.executable, "-c", f"import os, sys, time; {text}"]


@pytest.mark.process
@pytest.mark.usefixtures("gpu")
def test_a_probe_that_faiss_ends_is_a_reason_and_not_the_end() -> None:
    """CUDA's errors end FAISS's process by SIGABRT: so it is another one first."""
    with pytest.raises(NoGpu) as caught:
        faiss_on_gpu(program("print('first\\nFaiss assertion failed', file=sys.stderr, flush=True); os.abort()"))
    assert str(caught.value) == ("faiss, tried in a process of its own, ended by SIGABRT: Faiss assertion failed")
    assert faiss_on_gpu(program("pass")) is GpuFlatSearch


@pytest.mark.process
@pytest.mark.usefixtures("gpu")
def test_a_probe_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not answer does not keep the inspection from the CPU."""
    monkeypatch.setattr(gpu_search, "PROBE_SECONDS", 0.2)
    with pytest.raises(NoGpu, match=r"faiss did not search on the GPU within 0\.2 s"):
        faiss_on_gpu(program("time.sleep(60)"))


@cpu_build
@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("gpu")
def test_the_real_probe_says_what_it_found() -> None:
    """Here a faiss for the CPU: another process is not deceived as this one is."""
    with pytest.raises(NoGpu, match=r"ended by exit code 1: this faiss is built for the CPU"):
        faiss_on_gpu()


class OneRowOff(BruteSearch):
    """Takes the row after the nearest."""

    def nearest(self, queries: np.ndarray) -> Nearest:
        """Wrong."""
        found = super().nearest(queries)
        row = (found.row + 1) % len(self._bank)
        return found._replace(row=row, distance=np.linalg.norm(queries - self._bank[row], axis=1))


def test_a_search_that_finds_others_is_refused() -> None:
    """What a probe holds a GPU's search against."""
    refuse_wrong(BruteSearch)
    with pytest.raises(NoGpu, match="the patches that it finds are farther than the nearest, by"):
        refuse_wrong(OneRowOff)


@without_gpu
def test_torch_is_refused_without_a_driver_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds to import."""
    imported = set(sys.modules)
    monkeypatch.setattr("softpatch.scoring.torch_search.DRIVER", "libcuda-that-is-not-there.so.1")
    with pytest.raises(NoGpu) as caught:
        torch_on_gpu()
    assert str(caught.value) == "there is no NVIDIA driver (libcuda-that-is-not-there.so.1)"
    assert "torch" not in set(sys.modules) - imported


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU and a faiss built for it")
def test_neighbours_are_those_of_the_definition_up_to_fp16() -> None:
    """The distance of the patch it takes is within 1e-3 of the nearest one's."""
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(500, 48)).astype(np.float32), rng.normal(size=(37, 48)).astype(np.float32)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - bank, axis=-1)
    found = GpuFlatSearch(bank).nearest(queries)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-3)
    np.testing.assert_allclose(exact[np.arange(37), found.row], found.distance, rtol=1e-5)
