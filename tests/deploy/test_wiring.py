"""What services are made of: the search that the settings name, and what is logged where it cannot be had."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from structlog.testing import capture_logs

from deploy.settings import RuntimeSettings
from deploy.wiring import search_of
from softpatch.scoring.search import FlatSearch

WITHOUT_GPU = not hasattr(faiss, "StandardGpuResources")


@pytest.mark.skipif(not WITHOUT_GPU, reason="this faiss may find a GPU")
def test_without_a_gpu_the_search_falls_back_with_one_clear_line() -> None:
    """`auto` tries the GPU first; the log says what answers instead, and why."""
    with capture_logs() as logged:
        search = search_of(RuntimeSettings())(np.eye(3, dtype=np.float32))
    assert isinstance(search, FlatSearch)
    why = "this faiss is built for the CPU; install patchline[gpu-cu12] for its search"
    assert logged == [{"event": "search_ready", "search": "faiss cpu", "gpu": why, "log_level": "info"}]


def test_the_cpu_can_be_asked_for() -> None:
    """Then no GPU is tried."""
    with capture_logs() as logged:
        search = search_of(RuntimeSettings(provider="cpu"))(np.eye(3, dtype=np.float32))
    assert isinstance(search, FlatSearch)
    assert logged[0]["gpu"] == "not requested"
