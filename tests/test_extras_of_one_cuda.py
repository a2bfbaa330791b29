"""The extras for GPUs: each names packages of one CUDA, and versions that were built for it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]


def named(extra: str) -> dict[str, Requirement]:
    """What it needs, by name."""
    return {each.name: each for each in map(Requirement, EXTRAS[extra])}


@pytest.mark.parametrize(
    ("extra", "other", "fits", "does_not"),
    [("gpu", "cu12", "1.31.1", "1.26.0"), ("gpu-cu12", "cu13", "1.26.0", "1.31.1")],
)
def test_an_extra_keeps_to_one_cuda(extra: str, other: str, fits: str, does_not: str) -> None:
    """No package of the other; an ONNX Runtime built for it; TensorRT 10, whose library both of them ask for."""
    needed = named(extra)
    assert not [name for name in needed if other in name]
    runtime = needed["onnxruntime-gpu"]
    assert runtime.extras == {"cuda", "cudnn"}
    assert fits in runtime.specifier
    assert does_not not in runtime.specifier
    (tensorrt,) = (each for name, each in needed.items() if name.startswith("tensorrt-cu"))
    assert "10.16.1.11" in tensorrt.specifier
    assert "11.4.0.106" not in tensorrt.specifier


def test_each_extra_for_a_gpu_searches_there() -> None:
    """By FAISS where it is built for that CUDA, else by torch, from the version on that multiplies fp16 to fp32."""
    assert "torch" not in named("gpu-cu12")
    assert "faiss-gpu-cu12" in named("gpu-cu12")
    assert "2.8.0" in named("gpu")["torch"].specifier
    assert "2.7.1" not in named("gpu")["torch"].specifier


@pytest.mark.parametrize("extra", ["cpu", "gpu", "gpu-cu12"])
def test_each_brings_one_network_runtime_and_one_search(extra: str) -> None:
    """Two of either would share an import name."""
    assert [name.split("-")[0] for name in sorted(named(extra)) if name.startswith(("faiss", "onnxruntime"))] == [
        "faiss",
        "onnxruntime",
    ]
