"""What a GPU is given begins with a Cast, whatever the file begins with, and computes the same to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from softpatch.network import graph as graph_module
from softpatch.network.cast_first import cast_first
from softpatch.network.graph import INPUT, lite0, load_graph

SHIPPED = [
    pytest.param(file, features, id=f"{file.stem}-{features}")
    for file in sorted((Path(graph_module.__file__).parent / "graphs").glob("*.onnx"))
    for features in load_graph(file).features
]


def first_nodes(model: bytes) -> list[str]:
    """The operators that take the frames."""
    return [node.op_type for node in onnx.load_model_from_string(model).graph.node if INPUT in node.input]


@pytest.mark.parametrize(("file", "features"), SHIPPED)
def test_every_graph_that_ships_begins_with_a_cast_on_a_gpu(file: Path, features: str) -> None:
    """TensorRT transposes no uint8: it would leave the first layer, and the copy behind it, to another provider."""
    model = cast_first(load_graph(file).model_of(features))
    onnx.checker.check_model(onnx.load_model_from_string(model), full_check=True)
    assert first_nodes(model) == ["Cast"]


@pytest.mark.parametrize(("file", "features"), SHIPPED)
def test_it_computes_the_same_to_the_bit(file: Path, features: str) -> None:
    """A cast of each value, and an order of them, in either order."""
    given = load_graph(file).model_of(features)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    one, other = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run([features], {INPUT: frames})[0]
        for model in (given, cast_first(given))
    )
    assert np.array_equal(one, other)


def test_a_graph_that_begins_otherwise_is_left_alone() -> None:
    """One that has its Cast first already, and one that is another's."""
    changed = cast_first(lite0().model_of("wide"))
    assert cast_first(changed) == changed
    other = onnx.load_model_from_string(lite0().model_of("wide"))
    other.graph.node[0].op_type = "Identity"
    assert cast_first(other.SerializeToString()) == other.SerializeToString()


def test_frames_that_are_measured_beside_it_are_cast_first_too() -> None:
    """As vision transformers reckon their grids: each Shape would take uint8, too."""
    given = onnx.load_model_from_string(lite0().model_of("wide"))
    given.graph.node.insert(0, onnx.helper.make_node("Shape", [INPUT], ["size"]))
    assert first_nodes(given.SerializeToString()) == ["Shape", "Transpose"]
    changed = cast_first(given.SerializeToString())
    onnx.checker.check_model(onnx.load_model_from_string(changed), full_check=True)
    assert first_nodes(changed) == ["Cast"]
