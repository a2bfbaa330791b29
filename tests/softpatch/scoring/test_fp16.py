"""A bank built in fp32 serves in fp16: what rounding every layer does to embeddings and scores, with room to spare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import INPUT, lite0
from softpatch.network.sessions import MOST_DIFFERENCE
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import FlatSearch
from softpatch.scoring.self_test import TOLERANCES, run_self_test, tolerance_of
from tests.inference.sample_bank import picture, sample_bank
from tests.softpatch.network.rounded_to_fp16 import rounded_to_fp16

if TYPE_CHECKING:
    from collections.abc import Mapping

    from softpatch.bank import Bank
    from softpatch.network.graph import FeatureSet
    from softpatch.network.providers import Precision


class InFp16:
    """Lite0 as a GPU would compute it in fp16, as far as a CPU can tell."""

    graph_hash = lite0().hash
    feature_sets: Mapping[str, FeatureSet] = lite0().features
    input_multiple_px = 32
    provider = "tensorrt"
    precision: Precision = "fp16"

    def __init__(self, features: str) -> None:
        self.features = features
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        model = rounded_to_fp16(lite0().model_of(features))
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def with_features(self, features: str) -> InFp16:
        """Another session."""
        return self if features == self.features else InFp16(features)

    def embed(self, frames: np.ndarray) -> np.ndarray:
        """See Embedder."""
        return np.asarray(self._session.run([self.features], {INPUT: frames})[0])


@pytest.fixture(scope="module")
def exact() -> OnnxEmbedder:
    """On the CPU, in fp32."""
    return OnnxEmbedder.open(lite0(), provider="cpu", threads=1)


@pytest.fixture(scope="module")
def bank(exact: OnnxEmbedder) -> Bank:
    """Built there."""
    return sample_bank(exact)


@pytest.mark.parametrize("features", ["fine", "wide"])
def test_embeddings_in_fp16_pass_the_proof_of_a_provider(exact: OnnxEmbedder, features: str) -> None:
    """Those of pictures differ by no more than two thirds of what a provider may; and by more than fp32 explains."""
    frames = np.stack([picture(seed, defect=seed == 1) for seed in range(3)])
    expected, rounded = exact.with_features(features).embed(frames), InFp16(features).embed(frames)
    length = np.sqrt(np.square(expected).sum(axis=-1).mean())
    difference = np.linalg.norm(rounded - expected, axis=-1).max() / length
    assert MOST_DIFFERENCE["fp32"] < difference < MOST_DIFFERENCE["fp16"] * 2 / 3


def test_a_bank_built_in_fp32_proves_itself_in_fp16(bank: Bank) -> None:
    """Its probes score as they did, to a quarter of what they may differ by; they do differ."""
    report = run_self_test(bank, InFp16(bank.manifest.features), Scorer(bank, FlatSearch(bank.vectors)))
    assert 0 < report.worst_difference < TOLERANCES["fp16"] / 4


def test_each_provider_is_allowed_what_it_explains() -> None:
    """fp16 on either side; another order of sums on a GPU; on a CPU hardly anything."""
    assert tolerance_of("tensorrt", "fp16", "fp32") == tolerance_of("cpu", "fp32", "fp16") == 2e-2
    assert tolerance_of("cuda", "fp32", "fp32") == tolerance_of("tensorrt", "fp32", "fp32") == 1e-3
    assert tolerance_of("cpu", "fp32", "fp32") == 1e-4
    assert tolerance_of("cpu", "int8", "int8") == 2e-2
