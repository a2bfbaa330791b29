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
from softpatch.network.engines import EngineCache
from softpatch.network.graph import lite0
from softpatch.network.providers import FrameShapes, Precision, PrecisionChoice, Provider, provider_options
from softpatch.network.sessions import SessionRefused, proven_session
from tests.softpatch.network.gpu_sessions import REAL, OnTheCpu, gpu_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Loader = Callable[[str], tuple[str, ...]]

SMALL = FrameShapes(64, 96, max_frames=3)
WITHOUT_TENSORRT = "TensorrtExecutionProvider" not in onnxruntime.get_available_providers()


def test_tensorrt_is_given_words_that_its_parser_takes(tmp_path: Path) -> None:
    """`True`, not `1`; the profile is that of the frames; CUDA, which runs the rest, computes in whole fp32."""
    tensorrt, cuda = provider_options("tensorrt", "fp16", SMALL, tmp_path / "engine")
    assert {value for name, value in tensorrt.items() if name.endswith("_enable")} == {"True"}
    assert tensorrt["trt_profile_min_shapes"] == "frames:1x64x96x3"
    assert tensorrt["trt_profile_opt_shapes"] == tensorrt["trt_profile_max_shapes"] == "frames:3x64x96x3"
    assert tensorrt["trt_engine_cache_path"] == str(tmp_path / "engine")
    assert tensorrt["trt_timing_cache_path"] == str(tmp_path)
    assert provider_options("tensorrt", "fp32", SMALL)[0]["trt_fp16_enable"] == "False"
    assert cuda == {"use_tf32": "0"}
    assert provider_options("cuda", "fp32", SMALL, tmp_path) == [cuda]
    assert provider_options("cpu", "fp32", SMALL, tmp_path) == [{}]


@pytest.mark.parametrize(
    ("shapes", "buckets"),
    [
        (FrameShapes(), (1, 4, 16)),
        (FrameShapes(max_frames=1), (1,)),
        (FrameShapes(max_frames=20), (1, 4, 16, 20)),
        (FrameShapes(448, 448, max_frames=500), (1, 4, 16, 64)),
        (FrameShapes(1280, 1280, max_frames=64), (1, 4, 7)),
        (FrameShapes(8192, 8192, max_frames=64), (1,)),
    ],
)
def test_a_gpu_runs_few_numbers_of_frames(shapes: FrameShapes, buckets: tuple[int, ...]) -> None:
    """64 at most, fewer of large frames, and all that a batch may have in one run where that is fewer."""
    assert shapes.buckets == buckets


@pytest.mark.skipif(WITHOUT_TENSORRT, reason="this onnxruntime is built without TensorRT: install patchline[gpu]")
@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_the_real_parser_takes_them(tmp_path: Path, precision: Precision) -> None:
    """It needs no driver: an option that it does not take throws, a provider that it cannot load is left out."""

    def parsed(options: dict[str, str]) -> None:
        session = onnxruntime.capi._pybind_state.InferenceSession(
            onnxruntime.SessionOptions(), lite0().model_of("fine"), False, False
        )
        session.initialize_session(["TensorrtExecutionProvider"], [options], set())

    options = provider_options("tensorrt", precision, SMALL, tmp_path / "engine")[0]
    parsed(options)
    with pytest.raises(RuntimeError):
        parsed(options | {"trt_fp16_enable": "1"})


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
    """What puts a session in onnxruntime's place."""
    return lambda fake: gpu_session(monkeypatch, fake)


@pytest.mark.parametrize("provider", ["tensorrt", "cuda"])
@pytest.mark.parametrize("fake", [OnTheCpu, LeavesShapes])
def test_one_that_gives_what_the_cpu_gives_is_taken(
    on_device: Callable[[type], None], provider: Provider, fake: type
) -> None:
    """After two batches, of one frame and of the most; neither fallback of onnxruntime is left on."""
    on_device(fake)
    session = proven_session(lite0(), "wide", provider, SMALL)
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
def test_one_that_did_not_run_there_is_refused(
    on_device: Callable[[type], None], tmp_path: Path, fake: type, why: str
) -> None:
    """`auto` goes on to the CPU, and says why; it never calls the CPU by another name."""
    on_device(fake)
    embedder = OnnxEmbedder.open(lite0(), features="wide", threads=1, shapes=SMALL, engines=EngineCache(tmp_path))
    assert embedder.tried == (Attempt("tensorrt", why), Attempt("cuda", why), Attempt("cpu", "runs"))
    assert (embedder.provider, embedder.precision) == ("cpu", "fp32")


def outcome_of(provider: Provider, precision: PrecisionChoice = "auto") -> str:
    """Why a provider is refused; empty where it is not."""
    try:
        proven_session(lite0(), "wide", provider, SMALL, precision=precision)
    except SessionRefused as refused:
        return str(refused)
    return ""


def test_a_precision_that_a_provider_does_not_compute_in_is_refused(on_device: Callable[[type], None]) -> None:
    """CUDA runs the graph as it is: who asks for fp16 must not be given fp32."""
    on_device(OnTheCpu)
    said = "it does not compute in fp16, which the settings ask for"
    assert [outcome_of(each, "fp16") for each in ("tensorrt", "cuda", "cpu")] == ["", said, said]
    embedder = OnnxEmbedder.open(lite0(), features="wide", provider="tensorrt", precision="fp32", shapes=SMALL)
    assert embedder.precision == "fp32"


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
    outcomes = {provider: outcome_of(provider) for provider in ("tensorrt", "cuda")}
    assert {provider for provider, refused in outcomes.items() if refused} == {"tensorrt", "cuda"} - {taken}
    assert outcomes["cuda"].startswith("at a batch of 1 its embeddings differ from the CPU's by ")
    assert outcomes["cuda"].endswith("fp32 may by 0.10%")
    assert outcome_of("tensorrt", "fp32").endswith("fp32 may by 0.10%")


def test_a_batch_above_the_profile_goes_in_parts(on_device: Callable[[type], None]) -> None:
    """An engine takes no more than its profile says; what is left is filled up, as every other size costs a search."""
    on_device(OnTheCpu)
    embedder = OnnxEmbedder.open(lite0(), provider="cuda", features="wide", shapes=SMALL)
    frames = np.random.default_rng(2).integers(0, 256, (7, 64, 96, 3), np.uint8)
    before = embedder.session().runs
    embeddings = embedder.embed(frames)
    assert embedder.session().runs - before == 3
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
    assert outcome_of("cuda") == (
        "onnxruntime could not load it (driver or libraries missing); not loaded: libcudnn.so.9: not found"
    )
