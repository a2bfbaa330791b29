"""A network in 8-bit integers: near to the one in fp32, the same on every processor, and a network of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from softpatch.network.channel_ranges import with_equal_ranges
from softpatch.network.convolutions import ParsedGraph
from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable
from softpatch.network.graph import Graph, graph_from_bytes, lite0
from softpatch.network.integer_weights import MOST_INPUTS, products_of, rounded_weights
from softpatch.network.providers import precision_of
from softpatch.network.quantize import CannotQuantise, quantised
from softpatch.network.running import open_session, run
from tests.softpatch.network.small_network import small_network, smooth_frames

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = range(4)
FRAMES = [*smooth_frames(6), *smooth_frames(2, side=96)]


def embedded(graph: Graph, frames: np.ndarray) -> np.ndarray:
    """The embeddings of these frames."""
    return run(open_session(graph.model_of("patches"), "cpu", [{}]), "patches", frames)


def difference(some: np.ndarray, others: np.ndarray) -> float:
    """Mean length of the differences, as a share of the embeddings' root mean square length."""
    return float(np.linalg.norm(some - others, axis=-1).mean() / np.sqrt(np.square(others).sum(axis=-1).mean()))


def as_run(graph: Graph, folder: Path) -> list[onnx.NodeProto]:
    """The nodes that ONNX Runtime makes of it on the CPU."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "run.onnx")
    options.log_severity_level = 3  # it warns that the file is for this machine
    onnxruntime.InferenceSession(graph.model_of("patches"), options, providers=["CPUExecutionProvider"])
    return list(onnx.load(folder / "run.onnx").graph.node)


def without_kept(graph: Graph) -> Graph:
    """Without the step that keeps a pooling in fp32."""
    model = onnx.load_model_from_string(graph.model)
    (kept,) = (node for node in model.graph.node if node.op_type == "Max")
    for node in model.graph.node:
        node.input[:] = [kept.input[0] if name == kept.output[0] else name for name in node.input]
    model.graph.node.remove(kept)
    return graph_from_bytes(model.SerializeToString(), source="without")


@pytest.mark.parametrize("seed", SEEDS)
def test_embeddings_of_frames_that_it_was_not_measured_with_stay_near(seed: int) -> None:
    """Within a twentieth of their length, through 13 layers of 24 channels, whose ranges differ by a hundred."""
    graph = small_network(seed)
    frames = smooth_frames(40, seed=seed)
    now = quantised(graph, list(frames[:24]))
    assert 0 < difference(embedded(now, frames[24:]), embedded(graph, frames[24:])) < 0.05


def test_it_is_a_network_of_its_own_that_says_what_it_computes_in() -> None:
    """Another hash, so no bank of the network in fp32 fits it; the same features, and read back as written."""
    graph = small_network()
    now = quantised(graph, FRAMES)
    assert (now.name, now.precision, graph.precision) == ("small-int8", "int8", "fp32")
    assert (now.features, now.input_multiple_px) == (graph.features, graph.input_multiple_px)
    assert now.hash != graph.hash
    assert graph_from_bytes(now.model, source="again") == now
    assert quantised(graph, FRAMES).model == now.model


def test_every_layer_but_the_first_runs_in_integers(tmp_path: Path) -> None:
    """ONNX Runtime has taken them so: it may leave a layer in fp32 that it does not recognise."""
    graph = small_network()
    kinds = [node.op_type for node in as_run(quantised(graph, FRAMES), tmp_path)]
    layers = len(ParsedGraph(onnx.load_model_from_string(graph.model)).convolutions)
    assert kinds.count("QLinearConv") == layers - 1
    assert not {"Clip", "Sigmoid"} & set(kinds[2:])


def test_maxima_behind_the_first_layer_are_taken_before_values_are_rounded(tmp_path: Path) -> None:
    """ONNX Runtime would exchange the two, which gives the same bits at thirty times the time."""
    graph = small_network(pooled=True)
    now = quantised(graph, FRAMES)
    kinds = [node.op_type for node in as_run(now, tmp_path)]
    assert kinds.index("MaxPool") < kinds.index("QuantizeLinear")
    layers = len(ParsedGraph(onnx.load_model_from_string(graph.model)).convolutions)
    assert kinds.count("QLinearConv") == layers - 1
    frames = smooth_frames(2, seed=1)
    assert np.array_equal(embedded(now, frames), embedded(without_kept(now), frames))


def test_a_tensor_has_one_step_and_one_zero() -> None:
    """Not an array of one: ONNX Runtime before 1.32 refuses to add two of those."""
    model = onnx.load_model_from_string(quantised(small_network(), FRAMES).model)
    shape = {each.name: list(each.dims) for each in model.graph.initializer}
    ends = [shape[name] for node in model.graph.node if node.op_type == "QuantizeLinear" for name in node.input[1:]]
    assert len(ends) > 26
    assert ends == [[]] * len(ends)


def test_no_sum_of_two_products_exceeds_16_bits() -> None:
    """Processors without VNNI add two products in 16 bits and cut the sum: they would score otherwise."""
    model = onnx.load_model_from_string(quantised(small_network(), FRAMES).model)
    weights = [
        numpy_helper.to_array(each).astype(int)
        for each in model.graph.initializer
        if each.name.endswith("_integers") and each.data_type == onnx.TensorProto.INT8
    ]
    assert len(weights) == 13
    assert max(abs(each).max() for each in weights) * 255 * 2 < 2**15


def test_what_cannot_compute_in_integers_says_so() -> None:
    """A network in int8 once more, and one with hardly any convolutions."""
    graph = small_network()
    with pytest.raises(CannotQuantise, match=r"^small-int8 computes in int8 already$"):
        quantised(quantised(graph, FRAMES), FRAMES)
    with pytest.raises(CannotQuantise, match=r"^small has hardly any convolutions: nothing to compute in integers$"):
        quantised(small_network(blocks=1), FRAMES)


def test_it_runs_on_the_cpu_alone_and_only_as_it_is() -> None:
    """A GPU, or settings that ask for fp32, are refused with the reason."""
    now = quantised(small_network(), FRAMES)
    assert OnnxEmbedder.open(now).precision == "int8"
    with pytest.raises(ProviderUnavailable, match="the network small-int8 is in int8, for the CPU, and the settings"):
        OnnxEmbedder.open(now, provider="cpu", precision="fp32")
    assert [precision_of(provider, "auto", "int8") for provider in ("tensorrt", "cuda", "cpu")] == [None, None, "int8"]


@pytest.mark.parametrize("seed", SEEDS)
def test_equal_ranges_leave_the_function_as_it_was(seed: int) -> None:
    """On frames that were measured nothing is clipped; every channel of a sum then has the same range."""
    graph, frames = small_network(seed), smooth_frames(16, seed=seed)
    model = with_equal_ranges(onnx.load_model_from_string(graph.model), list(frames))
    changed = run(open_session(model.SerializeToString(), "cpu", [{}]), "patches", frames)
    np.testing.assert_allclose(changed, embedded(graph, frames), rtol=1e-3, atol=1e-3 * np.abs(changed).max())
    names = ["narrow", *(f"{kind}{block}" for kind in ("narrow", "sum") for block in range(4))]
    before, after = (
        np.max([np.abs(ends).max(axis=0) for ends in ParsedGraph(each).ranges(names, list(frames)).values()], axis=0)
        for each in (onnx.load_model_from_string(graph.model), model)
    )
    assert before.max() / before.min() > 1.5
    np.testing.assert_allclose(after, after[0], rtol=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_rounded_for_what_they_are_given(seed: int) -> None:
    """Of inputs that go up and down together the result changes less than with each weight at its nearest integer."""
    rng = np.random.default_rng(seed)
    common = rng.normal(3.0, 1.0, (4000, 1))
    given = np.concatenate([common + 0.3 * rng.normal(size=(4000, 12)), np.ones((4000, 1))], axis=1).astype(np.float32)
    weights, bias = rng.normal(size=(6, 12)), rng.normal(size=6)
    integers, steps, new_bias = rounded_weights(weights, bias, products_of(given[None]))
    nearest = np.round(weights / steps[:, None])
    wanted = given[:, :-1] @ weights.T + bias
    error = np.square(given[:, :-1] @ (integers * steps[:, None]).T + new_bias - wanted).mean()
    plain = given[:, :-1] @ (nearest * steps[:, None]).T + bias
    plain_error = np.square(plain - plain.mean(axis=0) - (wanted - wanted.mean(axis=0))).mean()
    assert error < 0.5 * plain_error
    assert np.abs(integers).max() <= 63


def test_where_a_row_has_very_many_weights_the_mean_error_goes_to_the_bias() -> None:
    """They are rounded to the nearest; the mean result stays as it was."""
    rng = np.random.default_rng(0)
    given = np.concatenate([rng.uniform(0, 1, (50, MOST_INPUTS)), np.ones((50, 1))], axis=1).astype(np.float32)
    weights, bias = rng.normal(size=(3, MOST_INPUTS)), rng.normal(size=3)
    products = products_of(given[None])
    assert products.shape == (1, 1, MOST_INPUTS + 1)
    integers, steps, new_bias = rounded_weights(weights, bias, products)
    assert np.array_equal(integers, np.round(weights / steps[:, None]))
    given_mean = given[:, :-1].mean(axis=0)
    np.testing.assert_allclose(
        integers * steps[:, None] @ given_mean + new_bias, weights @ given_mean + bias, rtol=1e-5
    )


@pytest.mark.slow
def test_the_shipped_network_in_integers_scores_much_the_same() -> None:
    """All three feature sets of one file, on frames that it was not measured with: within a tenth of their length."""
    graph, frames = lite0(), smooth_frames(12, side=96)
    now = quantised(graph, list(frames[:8]))
    assert len(now.model) < 0.4 * len(graph.model)
    for features in graph.features:
        before, after = (
            run(open_session(each.model_of(features), "cpu", [{}]), features, frames[8:]) for each in (graph, now)
        )
        assert difference(after, before) < 0.1
