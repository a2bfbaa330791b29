"""A GPU's session is believed after it has run frames there and given what the CPU gives; else the reason is kept."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from softpatch.network import libraries, sessions
from softpatch.network.embed import Attempt, OnnxEmbedder
from softpatch.network.graph import lite0
from softpatch.network.sessions import FrameShapes, proven_session, provider_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Loader = Callable[[str], tuple[str, ...]]

SMALL = FrameShapes(64, 96, max_frames=3)
GPUS = ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
REAL = onnxruntime.InferenceSession
WITHOUT_TENSORRT = "TensorrtExecutionProvider" not in onnxruntime.get_available_providers()


def test_tensorrt_is_given_words_that_its_parser_takes(tmp_path: Path) -> None:
    """`True`, not `1`; the profile is that of the frames; CUDA, which runs the rest, computes in whole fp32."""
    tensorrt, cuda = provider_options(lite0(), "fine", "tensorrt", SMALL, tmp_path)
    assert {value for name, value in tensorrt.items() if name.endswith("_enable")} == {"True"}
    assert tensorrt["trt_profile_min_shapes"] == "frames:1x64x96x3"
    assert tensorrt["trt_profile_opt_shapes"] == tensorrt["trt_profile_max_shapes"] == "frames:3x64x96x3"
    assert tensorrt["trt_engine_cache_path"].startswith(str(tmp_path))
    wide = provider_options(lite0(), "wide", "tensorrt", SMALL, tmp_path)[0]
    assert wide["trt_engine_cache_path"] != tensorrt["trt_engine_cache_path"]
    assert cuda == {"use_tf32": "0"}
    assert provider_options(lite0(), "fine", "cuda", SMALL, tmp_path) == [cuda]
    assert provider_options(lite0(), "fine", "cpu", SMALL, tmp_path) == [{}]


@pytest.mark.skipif(WITHOUT_TENSORRT, reason="this onnxruntime is built without TensorRT: install patchline[gpu]")
def test_the_real_parser_takes_them(tmp_path: Path) -> None:
    """It needs no driver: an option that it does not take throws, a provider that it cannot load is left out."""

    def parsed(options: dict[str, str]) -> None:
        session = onnxruntime.capi._pybind_state.InferenceSession(
            onnxruntime.SessionOptions(), lite0().model_of("fine"), False, False
        )
        session.initialize_session(["TensorrtExecutionProvider"], [options], set())

    options = provider_options(lite0(), "fine", "tensorrt", SMALL, tmp_path)[0]
    parsed(options)
    with pytest.raises(RuntimeError):
        parsed(options | {"trt_fp16_enable": "1"})


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


class FailsAtTheLargestBatch(OnTheCpu):
    """Out of memory, as onnxruntime says it."""

    def run_with_iobinding(self, binding: Any, run_options: object = None) -> None:  # noqa: ANN401
        """One frame, not three."""
        if self.runs:
            raise RuntimeError("CUDA failure 2: out of memory")
        super().run_with_iobinding(binding, run_options)


class MovedAfterTheRun(OnTheCpu):
    """What onnxruntime's own fallback leaves behind."""

    def get_providers(self) -> list[str]:
        """The CPU, once it has run."""
        return ["CPUExecutionProvider"] if self.of_a_gpu and self.runs else super().get_providers()


class LeavesLayers(OnTheCpu):
    """Convolutions that the provider did not take."""

    def get_provider_graph_assignment_info(self) -> list[Any]:
        """One of the CPU's, beside a shape."""
        nodes = [SimpleNamespace(op_type="Shape", name="size"), SimpleNamespace(op_type="Conv", name="stem")]
        return [SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: nodes)]


class LeavesShapes(OnTheCpu):
    """Only what reckons sizes, as a GPU's providers do."""

    def get_provider_graph_assignment_info(self) -> list[Any]:
        """A shape of the CPU's."""
        nodes = [SimpleNamespace(op_type="Shape", name="size")]
        return [SimpleNamespace(ep_name="CPUExecutionProvider", get_nodes=lambda: nodes)]


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """What puts a session in onnxruntime's place, as built for GPUs whose libraries are there."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*GPUS, "CPUExecutionProvider"])
    monkeypatch.setattr(sessions, "missing_libraries", lambda _provider: ())
    ort_value = onnxruntime.OrtValue.ortvalue_from_numpy
    monkeypatch.setattr(
        onnxruntime.OrtValue, "ortvalue_from_numpy", staticmethod(lambda array, _device, _id: ort_value(array))
    )
    return lambda fake: monkeypatch.setattr(onnxruntime, "InferenceSession", fake)


@pytest.mark.parametrize("provider", ["tensorrt", "cuda"])
@pytest.mark.parametrize("fake", [OnTheCpu, LeavesShapes])
def test_one_that_gives_what_the_cpu_gives_is_taken(
    on_device: Callable[[type], None], provider: sessions.Provider, fake: type
) -> None:
    """After two batches, of one frame and of the most; neither fallback of onnxruntime is left on."""
    on_device(fake)
    session = proven_session(lite0(), "wide", provider, SMALL, None)
    assert isinstance(session, fake)
    assert (session.runs, session._enable_fallback) == (2, False)


@pytest.mark.parametrize(
    ("fake", "why"),
    [
        (FailsAtTheLargestBatch, "CUDA failure 2: out of memory"),
        (MovedAfterTheRun, "at a batch of 1 onnxruntime moved the run to CPUExecutionProvider"),
        (LeavesLayers, "1 layers were left to the CPU, stem first"),
    ],
)
def test_one_that_did_not_run_there_is_refused(on_device: Callable[[type], None], fake: type, why: str) -> None:
    """`auto` goes on to the CPU, and says why; it never calls the CPU by another name."""
    on_device(fake)
    embedder = OnnxEmbedder.open(lite0(), features="wide", threads=1, shapes=SMALL)
    assert embedder.tried == (Attempt("tensorrt", why), Attempt("cuda", why), Attempt("cpu", "runs"))
    assert (embedder.provider, embedder.precision) == ("cpu", "fp32")


@pytest.mark.parametrize(
    ("wrong", "taken"), [(lambda x: x * 1.01, "tensorrt"), (lambda x: x * 1.2, None), (lambda x: x * np.nan, None)]
)
def test_values_decide_by_precision(
    on_device: Callable[[type], None],
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[np.ndarray], np.ndarray],
    taken: str | None,
) -> None:
    """One percent is fp16's rounding, and no fp32; a fifth is an error of either, as is what is no number."""
    on_device(OnTheCpu)
    bound = sessions.run_bound
    monkeypatch.setattr(sessions, "run_bound", lambda *given: wrong(bound(*given)))
    outcomes = {provider: proven_session(lite0(), "wide", provider, SMALL, None) for provider in ("tensorrt", "cuda")}
    refused = {provider for provider, outcome in outcomes.items() if isinstance(outcome, str)}
    assert refused == {"tensorrt", "cuda"} - {taken}
    assert outcomes["cuda"].startswith("at a batch of 1 its embeddings differ from the CPU's by ")
    assert outcomes["cuda"].endswith("fp32 may by 0.10%")


def test_a_batch_above_the_profile_goes_in_parts(on_device: Callable[[type], None]) -> None:
    """An engine takes no more than its profile says."""
    on_device(OnTheCpu)
    embedder = OnnxEmbedder.open(lite0(), provider="cuda", features="wide", shapes=SMALL)
    frames = np.random.default_rng(2).integers(0, 256, (7, 64, 96, 3), np.uint8)
    before = embedder._session.runs
    embeddings = embedder.embed(frames)
    assert embedder._session.runs - before == 3
    own = OnnxEmbedder.open(lite0(), provider="cpu", features="wide", threads=1).embed(frames)
    np.testing.assert_allclose(embeddings, own, atol=1e-4)


@pytest.fixture
def loader() -> Iterator[Loader]:
    """The loader, which answers once for each process: before and after, it has not been asked."""
    caches = (libraries.missing_libraries, libraries._cuda_missing)
    for each in caches:
        each.cache_clear()
    yield libraries.missing_libraries
    for each in caches:
        each.cache_clear()


def test_libraries_that_do_not_load_are_named(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Onnxruntime prints them, twice where it looks twice; nothing of it reaches the terminal."""

    def preload() -> None:
        failed = "Failed to load libcublas.so.13: cannot open shared object file\n"
        sys.stdout.write(f"{failed}{failed}Please follow https://onnxruntime.ai\n")

    def no_tensorrt(name: str) -> None:
        raise OSError(f"no {name}\nhere")

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)
    monkeypatch.setattr(libraries.importlib, "import_module", no_tensorrt)
    said = "libcublas.so.13: cannot open shared object file"
    assert loader("cuda") == (said,)
    assert loader("tensorrt") == (said, "tensorrt: no tensorrt here")


def test_the_reason_names_what_did_not_load(on_device: Callable[[type], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind what onnxruntime itself says."""
    on_device(lambda model, options, **_: REAL(model, options, providers=["CPUExecutionProvider"]))  # type: ignore[arg-type]
    monkeypatch.setattr(sessions, "missing_libraries", lambda _provider: ("libcudnn.so.9: not found",))
    refused = proven_session(lite0(), "wide", "cuda", SMALL, None)
    assert refused == (
        "onnxruntime could not load it (driver or libraries missing); not loaded: libcudnn.so.9: not found"
    )
