"""Sessions that say they run on a GPU, and compute on the CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import onnxruntime

from softpatch.network import engines, sessions
from softpatch.network.running import open_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

GPUS = ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
REAL = onnxruntime.InferenceSession


def gpu_session(monkeypatch: pytest.MonkeyPatch, fake: type) -> None:
    """Put it in ONNX Runtime's place, as built for GPUs, on a machine with one whose libraries are there."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*GPUS, "CPUExecutionProvider"])
    monkeypatch.setattr(sessions, "missing_libraries", lambda _provider: ())
    for module in (sessions, engines):
        monkeypatch.setattr(module, "gpu_name", lambda: "NVIDIA L4")
    ort_value = onnxruntime.OrtValue.ortvalue_from_numpy
    monkeypatch.setattr(
        onnxruntime.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, _device, _id: ort_value(array))
    )
    monkeypatch.setattr(onnxruntime, "InferenceSession", fake)
    monkeypatch.setattr(sessions, "compile_engine", compile_here)


def compile_here(model: bytes, options: Sequence[Mapping[str, str]], _precision: str) -> None:
    """In this process, which has the fake."""
    open_session(model, "tensorrt", options)


class OnTheCpu(REAL):
    """A GPU's session that computes on the CPU and says that it does not."""

    arguments: dict[str, Any]

    def __init__(self, model: bytes, options: object, **arguments: Any) -> None:  # noqa: ANN401
        self.arguments, self.runs = arguments, 0
        self.of_a_gpu = arguments["providers"] != ["CPUExecutionProvider"]
        super().__init__(model, options, providers=["CPUExecutionProvider"])
        if self.of_a_gpu:
            assert arguments["enable_fallback"] == 0

    def get_providers(self) -> list[str]:
        """What was asked for."""
        return [*self.arguments["providers"]]

    def io_binding(self) -> Any:  # noqa: ANN401 - onnxruntime has no types
        """In the CPU's memory."""
        binding = super().io_binding()
        bind = binding.bind_output
        binding.bind_output = lambda name, _device, _id: bind(name, "cpu", 0)
        return binding

    def run_with_iobinding(self, binding: Any, run_options: object = None) -> None:  # noqa: ANN401
        """Run, by the CPU."""
        self.runs += 1
        super().run_with_iobinding(binding, run_options)

    def get_provider_graph_assignment_info(self) -> list[Any]:
        """All of it on the first provider."""
        return [SimpleNamespace(ep_name=self.get_providers()[0], get_nodes=list)]


class OfTensorrt(OnTheCpu):
    """Compiles an engine into its folder, or loads the one that is there, as ONNX Runtime does."""

    def __init__(self, model: bytes, options: object, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(model, options, **arguments)
        self.batches: list[int] = []
        folder = arguments["provider_options"][0].get("trt_engine_cache_path")
        if folder is None:
            return
        engine = Path(folder) / "subgraph_sm89.engine"
        if engine.exists() and engine.read_bytes() != b"whole":
            raise RuntimeError(f"TensorRT EP could not deserialize engine from cache: {engine}")
        engine.write_bytes(b"whole")

    def run_with_iobinding(self, binding: Any, run_options: object = None) -> None:  # noqa: ANN401
        """Note how many frames it runs."""
        super().run_with_iobinding(binding, run_options)
        self.batches.append(binding.get_outputs()[0].shape()[0])
