"""A graph of a few convolutions as those of EfficientNet-Lite0, with random weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from softpatch.network.graph import INPUT, FeatureSet, Graph, graph_from_bytes, graph_metadata

DIMENSION = 8


def small_network(seed: int = 0, *, blocks: int = 4, pooled: bool = False) -> Graph:
    """Blocks of a wide convolution, a depthwise one and a narrow one, with an addition past each but the first.

    Channels have ranges from a hundredth to a hundredfold, as batch norms leave them; features `patches`, stride 8.
    `pooled`: a max pooling takes half of that stride, as in a ResNet.
    """
    rng = np.random.default_rng(seed)
    nodes = [
        helper.make_node("Transpose", [INPUT], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["real"], "real", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "shade"], ["pixels"], "pixels"),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("shade", 1 / 128), ("low", 0), ("high", 6))
    ]

    def convolution(source: str, name: str, shape: tuple[int, ...], *, groups: int = 1, **attributes: object) -> str:
        outputs, inputs, side, _ = shape
        weights = rng.normal(size=shape) / np.sqrt(inputs * side * side) * np.exp(rng.normal(size=(outputs, 1, 1, 1)))
        constants.append(numpy_helper.from_array(weights.astype(np.float32), f"{name}_w"))
        constants.append(numpy_helper.from_array(rng.normal(size=outputs).astype(np.float32), f"{name}_b"))
        ends = [source, f"{name}_w", f"{name}_b"]
        nodes.append(helper.make_node("Conv", ends, [name], name, group=groups, pads=[side // 2] * 4, **attributes))
        return name

    def clipped(source: str) -> str:
        nodes.append(helper.make_node("Clip", [source, "low", "high"], [f"{source}_clipped"], f"{source}_clip"))
        return f"{source}_clipped"

    first = clipped(convolution("pixels", "first", (16, 3, 3, 3), strides=[4, 4] if pooled else [8, 8]))
    if pooled:
        window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
        nodes.append(helper.make_node("MaxPool", [first], ["pooled"], "pool", **window))
    last = convolution("pooled" if pooled else first, "narrow", (8, 16, 1, 1))
    for block in range(blocks):
        wide = clipped(convolution(last, f"wide{block}", (24, 8, 1, 1)))
        deep = clipped(convolution(wide, f"deep{block}", (24, 1, 3, 3), groups=24))
        narrow = convolution(deep, f"narrow{block}", (DIMENSION, 24, 1, 1))
        nodes.append(helper.make_node("Add", [last, narrow], [f"sum{block}"], f"sum{block}"))
        last = f"sum{block}"
    nodes.append(helper.make_node("AveragePool", [last], ["mean"], "mean", kernel_shape=[3, 3], pads=[1] * 4))
    nodes.append(helper.make_node("Transpose", ["mean"], ["patches"], "patches", perm=[0, 2, 3, 1]))
    ends = [(INPUT, TensorProto.UINT8, ["n", "h", "w", 3]), ("patches", TensorProto.FLOAT, ["n", "p", "q", DIMENSION])]
    given, made = (helper.make_tensor_value_info(*end) for end in ends)
    graph = helper.make_graph(nodes, "small", [given], [made], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    features = {"patches": FeatureSet(stride_px=8, dimension=DIMENSION)}
    helper.set_model_props(model, graph_metadata("small", features, input_multiple_px=32))
    onnx.checker.check_model(model, full_check=True)
    return graph_from_bytes(model.SerializeToString(), source="small")


def smooth_frames(count: int, *, side: int = 64, seed: int = 0) -> np.ndarray:
    """Frames as cameras give them: neighbours are alike. uint8 [count, side, side, 3]."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, side // 8, side // 8, 3)).astype(np.float64)
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)
