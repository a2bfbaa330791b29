"""The fused embedding is the published one: unfold, interpolate, pool, concatenate, pool, written out in NumPy."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

FUSED = Path(__file__).parent / "reference" / "published_embedding.onnx"


def unfold(features: np.ndarray) -> np.ndarray:
    """[c, h, w] to [h, w, c, 9]: every position's 3x3 neighbourhood, zeros outside (PatchCore's PatchMaker)."""
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.transpose(1, 2, 0, 3, 4).reshape(*features.shape[1:], features.shape[0], 9)


def doubling(size: int) -> np.ndarray:
    """[2 size, size]: bilinear interpolation x2 with half-pixel centres, edges clamped."""
    weights = np.zeros((2 * size, size))
    for target in range(2 * size):
        source = max((target + 0.5) / 2 - 0.5, 0)
        low = int(source)
        high = min(low + 1, size - 1)
        weights[target, low] += 1 - (source - low)
        weights[target, high] += source - low
    return weights


def adaptive_average(values: np.ndarray, size: int) -> np.ndarray:
    """Over the last axis: output i is the mean of inputs floor(i L / size) to ceil((i + 1) L / size) - 1."""
    length = values.shape[-1]
    edges = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
    return np.stack([values[..., start:end].mean(axis=-1) for start, end in edges], axis=-1)


def published(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """[c8, h, w] and [c16, h/2, w/2] to [h, w, 1024], as the reference implementation does it, in float64."""
    patches, coarse_patches = unfold(fine.astype(np.float64)), unfold(coarse.astype(np.float64))
    rows, columns = doubling(coarse.shape[1]), doubling(coarse.shape[2])
    coarse_patches = np.einsum("Pp,Qq,pqck->PQck", rows, columns, coarse_patches)
    pooled = [adaptive_average(layer.reshape(*layer.shape[:2], -1), 1024) for layer in (patches, coarse_patches)]
    return adaptive_average(np.concatenate(pooled, axis=-1), 1024)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (4, 4), (14, 10)])
def test_the_fused_embedding_equals_the_published_one(height: int, width: int) -> None:
    """At WideResNet50's widths, on the graph that the export emits: within 1e-5, borders and corners included."""
    rng = np.random.default_rng(height)
    fine = rng.normal(size=(512, height, width)).astype(np.float32)
    coarse = rng.normal(size=(1024, height // 2, width // 2)).astype(np.float32)
    session = onnxruntime.InferenceSession(FUSED, providers=["CPUExecutionProvider"])
    (fused,) = session.run(None, {"fine": fine[None], "coarse": coarse[None]})
    np.testing.assert_allclose(fused[0].transpose(1, 2, 0), published(fine, coarse), atol=1e-5)
