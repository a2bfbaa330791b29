"""The published pipeline computes the paper's equations, written out here, and ours scores frames as it does."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from deploy.commands.bench import comparison_table
from deploy.errors import UsageError
from deploy.output.progress import ProgressDisplay
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0, load_graph

pytestmark = pytest.mark.export
torch = pytest.importorskip("torch", reason="needs the export extra")
timm = pytest.importorskip("timm", reason="needs the export extra")

from deploy.bench.against_published import compare_with_published  # noqa: E402 - after the check that it is there
from deploy.bench.published import (  # noqa: E402 - same
    PROJECTED_DIMENSIONS,
    PublishedBank,
    PublishedNetwork,
    PublishedScorer,
    greedy_coreset,
    lof_factors,
    published_bank,
)
from softpatch.network.export import export  # noqa: E402 - same


@pytest.fixture(scope="module")
def paper_network(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    """The graph that the export makes of WideResNet50 with random weights."""
    file = tmp_path_factory.mktemp("graph") / "wide.onnx"
    export("wide_resnet50_2", file, pretrained=False)
    return OnnxEmbedder.open(load_graph(file), provider="cpu", threads=2)


def patches(*shape: int, seed: int = 0) -> np.ndarray:
    """Away from the origin, as real embeddings are."""
    return np.random.default_rng(seed).normal(5, 1, shape).astype(np.float32)


def random_layer(dimension: int, seed: int) -> np.ndarray:
    """A linear layer to the projected dimensions, as PyTorch draws it."""
    torch.manual_seed(seed)
    layer = torch.nn.Linear(dimension, PROJECTED_DIMENSIONS, bias=False)
    return layer.weight.detach().numpy().T.astype(np.float64)


@pytest.mark.slow
def test_embeddings_are_those_of_the_graph(paper_network: OnnxEmbedder) -> None:
    """Step by step on PyTorch, and in one graph with other names for the same means."""
    frames = np.random.default_rng(4).integers(0, 256, (2, 64, 96, 3), dtype=np.uint8)
    np.testing.assert_allclose(PublishedNetwork(2).embed(frames), paper_network.embed(frames), atol=1e-4)


def test_factors_are_equations_4_to_6_in_a_random_projection() -> None:
    """Of one position, written out in float64."""
    embeddings = patches(30, 2, 3, 24)
    found = lof_factors(embeddings, seed=5)
    exact = embeddings[:, 1, 2].astype(np.float64) @ random_layer(24, 5)
    apart = np.linalg.norm(exact[:, None] - exact, axis=-1)
    near = np.argsort(apart, axis=1)[:, 1:7]
    kth = apart[np.arange(30), near[:, -1]]
    reach = [[max(kth[b], apart[i, b]) for b in near[i]] for i in range(30)]
    density = 1 / np.mean(reach, axis=1)
    expected = [sum(density[b] for b in near[i]) / (6 * density[i]) for i in range(30)]
    np.testing.assert_allclose(found[:, 1, 2], expected, rtol=1e-3)


def test_the_coreset_takes_the_farthest_kept_point_each_time() -> None:
    """By the definition in float64; the first pick is of all points, as the published program's is."""
    points, start = patches(200, 6), np.array([3, 70, 150])
    kept = np.random.default_rng(3).random(200) < 0.85
    exact = points.astype(np.float64)
    apart = np.linalg.norm(exact[:, None] - exact, axis=-1)
    nearest, expected = apart[:, start].mean(axis=1), []
    for _ in range(40):
        expected.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart[:, expected[-1]] * kept)
    picks = greedy_coreset(torch.from_numpy(points), torch.from_numpy(kept), start, 40)
    np.testing.assert_array_equal(picks, expected)
    assert kept[picks[1:]].all()


def test_a_bank_holds_a_tenth_of_all_patches_and_of_the_rejected_the_first_pick_at_most() -> None:
    """With the factor of each as its weight."""
    embeddings = patches(40, 5, 5, 12)
    factors = np.random.default_rng(1).random((40, 5, 5), np.float32)
    bank = published_bank(embeddings, factors, seed=0)
    assert bank.vectors.shape == (100, 12)
    assert np.sort(bank.weights)[-2] <= np.quantile(factors, 0.85)
    rows = [np.flatnonzero((embeddings.reshape(-1, 12) == vector).all(axis=1))[0] for vector in bank.vectors]
    assert len(set(rows)) == 100
    np.testing.assert_array_equal(bank.weights, factors.reshape(-1)[rows])


def test_scores_are_equations_7_and_8() -> None:
    """Weight of the nearest patch times the distance to it."""
    bank = PublishedBank(patches(50, 8), np.random.default_rng(2).random(50, np.float32))
    queries = patches(3, 4, 8, seed=3)
    apart = np.linalg.norm(queries[:, :, None].astype(np.float64) - bank.vectors, axis=-1)
    expected = bank.weights[apart.argmin(axis=-1)] * apart.min(axis=-1)
    np.testing.assert_allclose(PublishedScorer(bank, 2).patch_scores(queries), expected, rtol=1e-4)


@pytest.mark.slow
def test_both_pipelines_are_measured_and_order_frames_alike(paper_network: OnnxEmbedder) -> None:
    """Their coresets are drawn in other projections, so scores are not the same."""
    output = io.StringIO()
    progress = ProgressDisplay(Console(file=output))
    measured = compare_with_published(
        paper_network, threads=2, seed=0, progress=progress, learnt_frames=10, scored_frames=10
    )
    assert measured["bank"] == [784, 1024]
    assert measured["embedding_difference"] < 1e-4
    assert measured["score_correlation"] > 0.9
    for pipeline in ("published", "patchline"):
        build = measured[pipeline]["build_seconds"]
        assert build["whole"] == pytest.approx(build["embedding"] + build["lof"] + build["coreset"])
        assert min(build.values()) > 0
        assert min(measured[pipeline]["frame_seconds"].values()) > 0
    Console(file=output, width=160).print(comparison_table(measured))
    assert "a frame alone" in output.getvalue()


@pytest.mark.slow
def test_other_weights_are_refused(tmp_path: Path) -> None:
    """Before anything is measured."""
    torch.manual_seed(7)
    torch.save(timm.create_model("wide_resnet50_2", pretrained=False).state_dict(), tmp_path / "weights.pth")
    export(f"wide_resnet50_2={tmp_path / 'weights.pth'}", tmp_path / "wide.onnx")
    embedder = OnnxEmbedder.open(load_graph(tmp_path / "wide.onnx"), provider="cpu", threads=2)
    progress = ProgressDisplay(Console(file=io.StringIO()))
    with pytest.raises(UsageError, match=r"embeddings differ by \d+% from the published ones: export that"):
        compare_with_published(embedder, threads=2, seed=0, progress=progress, learnt_frames=8, scored_frames=1)


def test_another_network_is_refused() -> None:
    """What is published runs the paper's."""
    embedder = OnnxEmbedder.open(lite0(), provider="cpu", threads=2)
    with pytest.raises(UsageError, match="wide_resnet50_2, not lite0"):
        compare_with_published(embedder, threads=2, seed=0, progress=ProgressDisplay(Console(file=io.StringIO())))
