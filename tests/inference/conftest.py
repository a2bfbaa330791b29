"""The embedded graph, one bank built on it, and a store: made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from ingest.store import FsspecStore
from monitoring.metrics import InferenceMetrics, declare_inference
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.inference.sample_bank import sample_bank

if TYPE_CHECKING:
    from pathlib import Path

    from softpatch.bank import Bank


@pytest.fixture(scope="session")
def embedder() -> OnnxEmbedder:
    """EfficientNet-Lite0 on the CPU."""
    return OnnxEmbedder.open(lite0(), provider="cpu", threads=1)


@pytest.fixture(scope="session")
def bank(embedder: OnnxEmbedder) -> Bank:
    """A bank of good plates."""
    return sample_bank(embedder)


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    """An empty store on disk."""
    return FsspecStore.open(str(tmp_path / "store"))


@pytest.fixture
def metrics() -> InferenceMetrics:
    """The inference metrics on a registry of their own."""
    return declare_inference(CollectorRegistry())
