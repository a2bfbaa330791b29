"""A graph whose convolutions compute in 8-bit integers, made from one in fp32 and frames that show what it is given.

Static quantisation in ONNX's QDQ form: values have 8 bits and one range for each tensor, weights 7 bits and a range for
each row. The first layer stays in fp32 with the maxima taken behind it, as does what joins layers to embeddings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from jaxtyping import Float64, Int8
from onnx import helper

from softpatch.network.channel_ranges import with_equal_ranges
from softpatch.network.convolutions import Convolution, MeasuringFrames, ParsedGraph, without_unread, written
from softpatch.network.graph import Graph, graph_from_bytes, graph_metadata
from softpatch.network.integer_weights import products_of, rounded_weights

PLACES_A_FRAME = 400
"""Of each layer, where it is asked what its kernel lies on."""

FEWEST_CONVOLUTIONS = 8
"""That a graph must have: a vision transformer has one."""

MOST_BIAS = 2**30
"""In steps: it is an integer of 32 bits, and products are added to it."""


class CannotQuantise(ValueError):
    """This graph cannot compute in integers; the message says why."""


@dataclass(frozen=True)
class _Range:
    """What a step of an 8-bit value stands for, and which value is 0."""

    step: np.float32
    zero: np.uint8

    @classmethod
    def of(cls, ends: Float64[np.ndarray, "2 channels"]) -> "_Range":
        low, high = min(0.0, float(ends[0].min())), max(0.0, float(ends[1].max()))
        step = (high - low) / 255 or 1.0
        return cls(np.float32(step), np.uint8(round(-low / step)))


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution in integers; `result` is what it writes once a clip behind it is left out."""

    integers: Int8[np.ndarray, "o i r c"]
    steps: Float64[np.ndarray, "o"]
    bias: Float64[np.ndarray, "o"]
    source: str
    result: str


def quantised(graph: Graph, frames: MeasuringFrames, *, seed: int = 0) -> Graph:
    """The graph in 8-bit integers, for inputs like these frames (uint8 RGB, as the network is given them).

    Its embeddings are others, near to those before (docs/networks.md): it is another network, with banks of its own.
    The same graph, frames and seed give the same bytes on one machine.

    Raises:
        CannotQuantise: it has no convolutions to speak of, or computes in integers already.
    """
    if graph.precision != "fp32":
        raise CannotQuantise(f"{graph.name} computes in {graph.precision} already")
    model = onnx.load_model_from_string(graph.model)
    if len(ParsedGraph(model).convolutions) < FEWEST_CONVOLUTIONS:
        raise CannotQuantise(f"{graph.name} has hardly any convolutions: nothing to compute in integers")
    model = with_equal_ranges(model, frames)
    network = ParsedGraph(model)
    chosen = network.convolutions[1:]
    absorbed = _absorbed(network, chosen)
    results = {each.node.name: absorbed.get(each.node.name, each.result) for each in chosen}
    tensors = {each.source for each in chosen} | set(results.values())
    for node in model.graph.node:
        if node.op_type == "Add" and tensors >= set(node.input) and not network.activation_behind(node.output[0]):
            tensors.add(node.output[0])
    tensors -= network.outputs
    ranges = {name: _Range.of(ends) for name, ends in network.ranges(sorted(tensors), frames).items()}
    products = _products(network, chosen, frames, seed)
    layers = {}
    for each in chosen:
        name = each.node.name
        layers[name] = _layer(each, products[name], ranges, results[name])
    _write(model, _Nodes(layers, ranges), left_out=set(absorbed.values()))
    metadata = graph_metadata(
        f"{graph.name}-int8", graph.features, input_multiple_px=graph.input_multiple_px, precision="int8"
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return graph_from_bytes(model.SerializeToString(deterministic=True), source=f"{graph.name} in int8")


def _absorbed(network: ParsedGraph, chosen: Sequence[Convolution]) -> dict[str, str]:
    """What a clip alone behind a convolution writes: its ends are those of the 8-bit values."""
    return {each.node.name: clipped for each in chosen if (clipped := network.activation_behind(each.result))}


def _products(
    network: ParsedGraph, chosen: Sequence[Convolution], frames: MeasuringFrames, seed: int
) -> dict[str, Float64[np.ndarray, "g r k1"]]:
    rng = np.random.default_rng(seed)
    sums: dict[str, np.ndarray] = {}
    for values in network.values(sorted({each.source for each in chosen}), frames):
        for each in chosen:
            of_frame = products_of(each.columns(values[each.source], PLACES_A_FRAME, rng))
            sums[each.node.name] = sums.get(each.node.name, 0.0) + of_frame
    return sums


def _layer(
    of: Convolution, products: Float64[np.ndarray, "g r k1"], ranges: Mapping[str, _Range], result: str
) -> _Layer:
    rows = of.weights.reshape(len(of.weights), -1).astype(np.float64)
    integers, steps, bias = rounded_weights(rows, of.bias.astype(np.float64), products)
    least = np.abs(bias) / MOST_BIAS / float(ranges[of.source].step)
    small = steps < least  # weights that do nothing beside their bias
    integers[small] = 0
    return _Layer(integers.reshape(of.weights.shape), np.maximum(steps, least), bias, of.source, result)


@dataclass(frozen=True)
class _Nodes:
    """The nodes of a graph in integers, as they come, and the constants that they read."""

    layers: Mapping[str, _Layer]
    ranges: Mapping[str, _Range]
    written: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, node: onnx.NodeProto) -> None:
        """A node that reads 8-bit values where its inputs have a range, and gives them where its output has."""
        layer = self.layers.get(node.name)
        pools_fp32 = node.op_type == "MaxPool" and node.input[0] not in self.ranges and node.output[0] in self.ranges
        for place, name in enumerate(node.input):
            if name in self.ranges:
                node.input[place] = f"{name}_of_8"
        if layer is not None:
            step = layer.steps.astype(np.float32) * self.ranges[layer.source].step
            node.input[1] = self._by_row(f"{node.name}_integers", layer.integers, layer.steps)
            bias = np.round(layer.bias / step).astype(np.int32)
            node.input[2] = self._by_row(f"{node.name}_bias_integers", bias, step)
            node.output[0] = f"{layer.result}_raw" if layer.result in self.ranges else node.output[0]
            self.written.append(node)
            self._through_8_bits(layer.result, node.output[0])
            return
        self.written.append(node)
        names = list(node.output)
        raw = [self._kept_in_fp32(node), *names[1:]] if pools_fp32 else names
        for ends in zip(names, raw, strict=True):
            self._through_8_bits(*ends)

    def _kept_in_fp32(self, pooling: onnx.NodeProto) -> str:
        """Its result, behind a step that changes no value.

        Without one ONNX Runtime would round before it takes maxima, which gives the same bits, but its maxima of 8-bit
        planes take 7 ms of a WideResNet50 at 224 px, where those of fp32 take 0.2 ms.
        """
        pooled, least, kept = (f"{pooling.output[0]}_{what}" for what in ("raw", "least", "kept"))
        self.constants.append(written(np.array(-np.inf, np.float32), least))
        self.written.append(helper.make_node("Max", [pooled, least], [kept], kept))
        pooling.output[0] = pooled
        return kept

    def _through_8_bits(self, name: str, raw: str) -> None:
        if name not in self.ranges:
            return
        ends = [f"{name}_step", f"{name}_zero"]
        values: list[np.ndarray] = [np.array(self.ranges[name].step), np.array(self.ranges[name].zero)]
        self.constants.extend(written(value, end) for value, end in zip(values, ends, strict=True))
        self.written.append(helper.make_node("QuantizeLinear", [raw, *ends], [f"{name}_8"], f"{name}_to_8"))
        self.written.append(helper.make_node("DequantizeLinear", [f"{name}_8", *ends], [f"{name}_of_8"], f"{name}_of"))

    def _by_row(self, name: str, integers: np.ndarray, steps: np.ndarray) -> str:
        values: list[np.ndarray] = [integers, steps.astype(np.float32), np.zeros(len(steps), integers.dtype)]
        names = [name, f"{name}_step", f"{name}_zero"]
        self.constants.extend(written(value, each) for value, each in zip(values, names, strict=True))
        self.written.append(helper.make_node("DequantizeLinear", names, [f"{name}_real"], f"{name}_of", axis=0))
        return f"{name}_real"


def _write(model: onnx.ModelProto, nodes: _Nodes, *, left_out: set[str]) -> None:
    """The graph anew, of these nodes."""
    graph = model.graph
    for node in graph.node:
        if not left_out & set(node.output):
            nodes.add(node)
    del graph.node[:]
    graph.node.extend(nodes.written)
    graph.initializer.extend(nodes.constants)
    without_unread(graph)
    del graph.value_info[:]
