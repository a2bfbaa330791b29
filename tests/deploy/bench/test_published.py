"""The published pipeline computes the paper's equations, written out here, and ours scores frames as it does."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from sklearn.neighbors import LocalOutlierFactor

from deploy.bench.against_published import compare_with_published
from deploy.bench.published import PublishedBank, PublishedScorer, farthest_first, lof_factors, published_bank
from deploy.commands.bench import comparison_table
from deploy.output.progress import ProgressDisplay
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0


def patches(*shape: int, seed: int = 0) -> np.ndarray:
    """Away from the origin, as real embeddings are."""
    return np.random.default_rng(seed).normal(5, 1, shape).astype(np.float32)


def test_factors_are_equations_4_to_6() -> None:
    """Of one position, written out in float64; scikit-learn's of every position."""
    embeddings = patches(30, 2, 3, 24)
    found = lof_factors(embeddings)
    exact = embeddings[:, 1, 2].astype(np.float64)
    apart = np.linalg.norm(exact[:, None] - exact, axis=-1)
    near = np.argsort(apart, axis=1)[:, 1:7]
    kth = apart[np.arange(30), near[:, -1]]
    reach = [[max(kth[b], apart[i, b]) for b in near[i]] for i in range(30)]
    density = 1 / np.mean(reach, axis=1)
    expected = [sum(density[b] for b in near[i]) / (6 * density[i]) for i in range(30)]
    np.testing.assert_allclose(found[:, 1, 2], expected, rtol=1e-4)
    for row, column in np.ndindex(2, 3):
        judge = LocalOutlierFactor(6).fit(embeddings[:, row, column].astype(np.float64))
        np.testing.assert_allclose(found[:, row, column], -judge.negative_outlier_factor_, rtol=1e-4)


def test_the_coreset_takes_the_farthest_point_each_time() -> None:
    """By the definition in float64."""
    points, start = patches(200, 6), np.array([3, 70, 150])
    exact = points.astype(np.float64)
    apart = np.linalg.norm(exact[:, None] - exact, axis=-1)
    nearest, expected = apart[:, start].mean(axis=1), []
    for _ in range(40):
        expected.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart[:, expected[-1]])
    np.testing.assert_array_equal(farthest_first(points, start, 40), expected)


def test_a_bank_holds_a_tenth_of_all_patches_and_none_of_the_rejected() -> None:
    """With the factor of each as its weight."""
    embeddings = patches(40, 5, 5, 12)
    factors = np.random.default_rng(1).random((40, 5, 5), np.float32)
    bank = published_bank(embeddings, factors, seed=0)
    assert bank.vectors.shape == (100, 12)
    assert bank.weights.max() <= np.quantile(factors, 0.85)
    rows = [np.flatnonzero((embeddings.reshape(-1, 12) == vector).all(axis=1))[0] for vector in bank.vectors]
    assert len(set(rows)) == 100
    np.testing.assert_array_equal(bank.weights, factors.reshape(-1)[rows])


def test_scores_are_equations_7_and_8() -> None:
    """Weight of the nearest patch times the distance to it."""
    bank = PublishedBank(patches(50, 8), np.random.default_rng(2).random(50, np.float32))
    queries = patches(3, 4, 8, seed=3)
    apart = np.linalg.norm(queries[:, :, None].astype(np.float64) - bank.vectors, axis=-1)
    expected = bank.weights[apart.argmin(axis=-1)] * apart.min(axis=-1)
    np.testing.assert_allclose(PublishedScorer(bank).patch_scores(queries), expected, rtol=1e-4)


@pytest.mark.slow
def test_both_pipelines_are_measured_and_order_frames_alike() -> None:
    """Their coresets are drawn in other projections, so scores are not the same."""
    embedder = OnnxEmbedder.open(lite0(), features="medium", provider="cpu", threads=2)
    output = io.StringIO()
    progress = ProgressDisplay(Console(file=output))
    measured = compare_with_published(
        embedder, threads=2, seed=0, progress=progress, learnt_frames=30, scored_frames=20
    )
    assert measured["bank"] == [round(0.1 * 30 * 196), 152]
    assert measured["score_correlation"] > 0.95
    for pipeline in ("published", "patchline"):
        build = measured[pipeline]["build_seconds"]
        assert build["whole"] == pytest.approx(build["embedding"] + build["lof"] + build["coreset"])
        assert min(build.values()) > 0
        assert min(measured[pipeline]["frame_seconds"].values()) > 0
    Console(file=output, width=160).print(comparison_table(measured))
    assert "a frame alone" in output.getvalue()
