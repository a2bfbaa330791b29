"""Without a GPU the GPU search is refused at once; with one, it finds what the definition finds."""

import faiss
import numpy as np
import pytest

from softpatch.scoring.gpu_search import GpuFlatSearch, NoGpu

HAS_GPU = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this faiss is built for GPUs")
def test_a_faiss_for_the_cpu_is_refused_with_what_to_install() -> None:
    """Never a silent fall back: the caller decides."""
    with pytest.raises(NoGpu) as caught:
        GpuFlatSearch(np.eye(4, dtype=np.float32))
    assert str(caught.value) == "this faiss is built for the CPU; install patchline[gpu-cu12] for its search"


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU")
def test_a_machine_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The build is right, the driver is not."""
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    with pytest.raises(NoGpu, match="faiss sees no GPU"):
        GpuFlatSearch(np.eye(4, dtype=np.float32))


def test_parts_share_the_resources_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAISS reserves scratch memory on the GPU for each: one for a bank, however many parts it is searched in."""
    created: list[object] = []

    def resources() -> object:
        created.append(object())
        return created[-1]

    monkeypatch.setattr(faiss, "StandardGpuResources", resources, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1, raising=False)
    whole = GpuFlatSearch(np.eye(4, dtype=np.float32))
    parts = [whole.part(slice(0, 3)), whole.part(slice(3, None))]
    assert [each._resources for each in parts] == created * 2


@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU and a faiss built for it")
def test_neighbours_are_those_of_the_definition_up_to_fp16() -> None:
    """The distance of the patch it takes is within 1e-3 of the nearest one's."""
    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(500, 48)).astype(np.float32), rng.normal(size=(37, 48)).astype(np.float32)
    exact = np.linalg.norm(queries[:, None].astype(np.float64) - bank, axis=-1)
    found = GpuFlatSearch(bank).nearest(queries)
    np.testing.assert_allclose(found.distance, exact.min(axis=1), rtol=1e-3)
    np.testing.assert_allclose(exact[np.arange(37), found.row], found.distance, rtol=1e-5)
