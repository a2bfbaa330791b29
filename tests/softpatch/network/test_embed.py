"""The embedded graphs give what PyTorch and timm give, on whatever provider proves itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from softpatch.network import session_pool
from softpatch.network.embed import Attempt, Embedder, OnnxEmbedder, ProviderUnavailable, UnknownFeatures
from softpatch.network.engines import EngineCache
from softpatch.network.graph import EMBEDDED, Graph, embedded, lite0
from softpatch.network.sessions import session_on_cores

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def embedder() -> OnnxEmbedder:
    """On the CPU, two frames at once."""
    return OnnxEmbedder.open(lite0(), provider="cpu", threads=2)


def frames(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(4).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("network", EMBEDDED)
def test_embeddings_equal_those_of_pytorch_and_timm(network: str) -> None:
    """Within 1e-4, against outputs that reference/make_lite.py wrote without our code."""
    embedder = OnnxEmbedder.open(embedded(network), provider="cpu", threads=1)
    with np.load(REFERENCE / f"{network}.npz") as reference:
        for picture in ("noise", "scratch", "oblong"):
            found, expected = embedder.embed(reference[picture][None])[0], reference[f"{picture}_embedding"]
            np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=picture)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_frames_embedding_does_not_depend_on_its_batch(embedder: OnnxEmbedder, count: int) -> None:
    """Bit for bit, in order; no frames give no embeddings."""
    found = embedder.embed(frames(5)[:count])
    assert found.shape == (count, 8, 12, 152)
    for frame, embedding in zip(frames(5), found, strict=False):
        np.testing.assert_array_equal(embedder.embed(frame[None])[0], embedding)


def test_the_number_of_threads_changes_nothing(embedder: OnnxEmbedder) -> None:
    """A bank built on two cores fits an inspector on one."""
    single = OnnxEmbedder.open(lite0(), provider="cpu", threads=1)
    np.testing.assert_array_equal(single.embed(frames(3)), embedder.embed(frames(3)))


def test_a_frame_that_comes_alone_runs_on_every_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one session, opened at the first; frames that come together have a core each. The bits are the same."""
    opened: list[int] = []

    def recorded(graph: Graph, features: str, cores: int) -> object:
        opened.append(cores)
        return session_on_cores(graph, features, cores)

    monkeypatch.setattr(session_pool, "session_on_cores", recorded)
    on_three = OnnxEmbedder.open(lite0(), features="wide", provider="cpu", threads=3)
    together = on_three.embed(frames(2, 128, 160))
    assert opened == []
    alone = [on_three.embed(each[None])[0] for each in frames(2, 128, 160)]
    assert opened == [3]
    np.testing.assert_array_equal(alone, together)
    on_one = OnnxEmbedder.open(lite0(), features="wide", provider="cpu", threads=1)
    np.testing.assert_array_equal(on_one.embed(frames(2, 128, 160)[:1])[0], alone[0])
    assert opened == [3]


def test_sides_are_multiples_of_32(embedder: OnnxEmbedder) -> None:
    """The error names the size."""
    with pytest.raises(ValueError, match="frames of 96x65 px; the graph takes multiples of 32"):
        embedder.embed(frames(1, height=65))


def test_it_is_an_embedder_that_says_what_it_is(embedder: OnnxEmbedder) -> None:
    """Hash, features, provider and precision decide whether a bank fits."""
    assert isinstance(embedder, Embedder)
    described = (embedder.graph_hash, embedder.features, embedder.provider, embedder.precision)
    assert described == (lite0().hash, "fine", "cpu", "fp32")
    assert embedder.feature_sets == lite0().features


@pytest.mark.parametrize(
    ("features", "shape"), [("fine", (8, 12, 152)), ("medium", (4, 6, 152)), ("wide", (4, 6, 128))]
)
def test_every_feature_set_has_its_own_grid(embedder: OnnxEmbedder, features: str, shape: tuple[int, int, int]) -> None:
    """One session each, opened once; medium patches hold the means of the fine ones' stride 8 channels."""
    other = embedder.with_features(features)
    assert other.session() is embedder.with_features(features).with_features(features).session()
    assert other.with_features("fine").session() is embedder.session()
    assert other.embed(frames(1)).shape[1:] == shape


def test_medium_features_are_the_fine_ones_averaged_two_by_two(embedder: OnnxEmbedder) -> None:
    """The first 40 channels are those of stride 8; those of stride 16 are not interpolated."""
    fine = embedder.embed(frames(1))[0, ..., :40].reshape(4, 2, 6, 2, 40).mean(axis=(1, 3))
    medium = embedder.with_features("medium").embed(frames(1))[0, ..., :40]
    np.testing.assert_allclose(medium, fine, atol=1e-5)


def test_features_that_the_graph_does_not_have_are_refused_by_name(embedder: OnnxEmbedder) -> None:
    """The error names those it has."""
    with pytest.raises(UnknownFeatures) as caught:
        embedder.with_features("tokens")
    assert str(caught.value) == "lite0 has no features 'tokens'; it has fine, medium, wide"


def test_auto_asks_every_provider_in_order_and_keeps_the_answers(tmp_path: Path) -> None:
    """TensorRT, CUDA, CPU; the last attempt is the one that runs, and it is the one that is used."""
    embedder = OnnxEmbedder.open(lite0(), engines=EngineCache(tmp_path))
    tried = [attempt.provider for attempt in embedder.tried]
    assert tried == ["tensorrt", "cuda", "cpu"][: len(tried)]
    assert embedder.tried[-1] == Attempt(embedder.provider, "runs")
    assert all(attempt.outcome != "runs" for attempt in embedder.tried[:-1])


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build has CUDA")
def test_a_provider_that_is_not_there_is_refused_by_name() -> None:
    """Asked for alone, CUDA does not quietly become the CPU."""
    with pytest.raises(ProviderUnavailable) as caught:
        OnnxEmbedder.open(lite0(), provider="cuda")
    why = f"cuda: this onnxruntime {onnxruntime.__version__} is built without it"
    assert str(caught.value) == f"no execution provider runs the graph ({why}); set provider to auto or cpu"


def test_a_provider_that_onnxruntime_drops_by_itself_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With CUDA built in but no driver, onnxruntime logs a line and runs on the CPU: the session tells which."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )

    class Fallen(onnxruntime.InferenceSession):
        def __init__(self, model: bytes, options: object, **_: object) -> None:
            super().__init__(model, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    embedder = OnnxEmbedder.open(lite0(), engines=EngineCache(tmp_path))
    assert embedder.tried[1].outcome.startswith("onnxruntime could not load it (driver or libraries missing)")
    assert embedder.tried[2:] == (Attempt("cpu", "runs"),)


def test_a_graph_that_does_not_run_is_refused_with_the_reason() -> None:
    """Whatever onnxruntime raises, in one line: here of a node that it does not know."""
    model = onnx.load_model_from_string(lite0().model)
    model.graph.node[0].op_type = "Nonsense"
    broken = model.SerializeToString()
    with pytest.raises(ProviderUnavailable, match=r"cpu: .*Nonsense"):
        OnnxEmbedder.open(replace(lite0(), model=broken), provider="cpu")
