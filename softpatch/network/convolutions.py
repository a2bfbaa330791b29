"""The convolutions of a graph, and what they are given on frames."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from jaxtyping import Float32, Float64, UInt8
from onnx import TensorProto, helper, numpy_helper

from softpatch.network.graph import INPUT
from softpatch.network.running import open_session

BIAS = 2
"""Its place among a convolution's inputs."""

ACTIVATIONS = ("Clip", "Relu")

MeasuringFrames = Sequence[UInt8[np.ndarray, "_ _ 3"]]
"""Of one size or of several."""


@dataclass(frozen=True)
class Convolution:
    """One node: `weights` are [outputs, inputs of a group, rows, columns]; `bias` is 0 where it has none."""

    node: onnx.NodeProto
    weights: Float32[np.ndarray, "o i r c"]
    bias: Float32[np.ndarray, "o"]

    @property
    def source(self) -> str:
        """What it reads."""
        return str(self.node.input[0])

    @property
    def result(self) -> str:
        """What it writes."""
        return str(self.node.output[0])

    @cached_property
    def groups(self) -> int:
        """Groups of channels that do not see each other: as many as channels where it is depthwise."""
        return _integers(self.node, "group", [1])[0]

    def columns(self, seen: Float32[np.ndarray, "i h w"], places: int, rng: np.random.Generator) -> np.ndarray:
        """What its kernel lies on at random places, and a 1 for the bias: float32 [groups, places, inputs + 1]."""
        rows, columns = self.weights.shape[2:]
        top, left, bottom, right = _integers(self.node, "pads", [0, 0, 0, 0])
        stride = _integers(self.node, "strides", [1, 1])
        padded = np.pad(seen, ((0, 0), (top, bottom), (left, right)))
        under = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(1, 2))
        under = under[:, :: stride[0], :: stride[1]]
        where = rng.permutation(under.shape[1] * under.shape[2])[:places]
        taken = under[:, where // under.shape[2], where % under.shape[2]]  # i, places, r, c
        by_group = taken.reshape(self.groups, -1, len(where), rows * columns).transpose(0, 2, 1, 3)
        flat = by_group.reshape(self.groups, len(where), -1)
        return np.concatenate([flat, np.ones((*flat.shape[:2], 1), np.float32)], axis=2)


def _integers(node: onnx.NodeProto, name: str, default: list[int]) -> list[int]:
    """An attribute that is an integer, or several."""
    found = [each for each in node.attribute if each.name == name]
    return (list(found[0].ints) or [found[0].i]) if found else default


class ParsedGraph:
    """A parsed graph with who reads and who writes each tensor; changes of nodes do not show in it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {each.name: each for each in model.graph.initializer}
        self.outputs = {each.name for each in model.graph.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)

    @cached_property
    def convolutions(self) -> list[Convolution]:
        """The backbone's, in order: those with a bias, and those that others, or clips, come behind.

        An embedding's own have neither: they average, or project.
        """
        found, leads_on = [], set[str]()
        for node in reversed(self.model.graph.node):
            before_others = bool(leads_on & set(node.output))
            if before_others or node.op_type in {"Conv", *ACTIVATIONS}:
                leads_on |= set(node.input)
            if node.op_type == "Conv" and (before_others or len(node.input) > BIAS):
                found.append(self._convolution(node))
        return found[::-1]

    def _convolution(self, node: onnx.NodeProto) -> Convolution:
        weights = self.constant(node.input[1])
        has_bias = len(node.input) > BIAS
        return Convolution(node, weights, self.constant(node.input[BIAS]) if has_bias else weights[:, 0, 0, 0] * 0)

    def activation_behind(self, name: str) -> str | None:
        """What a clip gives that alone reads this tensor."""
        readers = self.readers[name]
        if len(readers) != 1 or readers[0].op_type not in ACTIVATIONS or name in self.outputs:
            return None
        return str(readers[0].output[0])

    def constant(self, name: str) -> np.ndarray:
        """The values of an initializer."""
        return numpy_helper.to_array(self.constants[name])

    def values(self, names: Sequence[str], frames: MeasuringFrames) -> Iterator[dict[str, np.ndarray]]:
        """These tensors, [channels, h, w] each, frame by frame."""
        shown = onnx.ModelProto()
        shown.CopyFrom(self.model)
        del shown.graph.output[:]
        shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
        session = open_session(shown.SerializeToString(), "cpu", [{}])
        for frame in frames:
            given = session.run(list(names), {INPUT: frame[None]})
            yield {name: value[0] for name, value in zip(names, given, strict=True)}

    def ranges(self, names: Sequence[str], frames: MeasuringFrames) -> dict[str, Float64[np.ndarray, "2 channels"]]:
        """The lowest and the highest value of every channel, over the frames."""
        found: dict[str, np.ndarray] = {}
        for values in self.values(names, frames):
            for name, value in values.items():
                ends = np.stack([value.min(axis=(1, 2)), value.max(axis=(1, 2))]).astype(np.float64)
                known = found.get(name, ends)
                found[name] = np.stack([np.minimum(known[0], ends[0]), np.maximum(known[1], ends[1])])
        return found


def written(values: np.ndarray, name: str) -> onnx.TensorProto:
    """An initializer of that name; a single value stays one, where NumPy would make it an array of one."""
    return numpy_helper.from_array(np.asarray(values, order="C"), name)


def without_unread(graph: onnx.GraphProto) -> None:
    """Takes out the initializers that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
