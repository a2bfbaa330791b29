"""The channels between two convolutions brought to one range: 8 bits are shared by all channels of a tensor.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.1, with ranges
measured on frames. A convolution that writes a tensor multiplies a channel, those that read it divide by the same.
"""

from collections import defaultdict

import numpy as np
import onnx
from onnx import helper

from softpatch.network.convolutions import ACTIVATIONS, MeasuringFrames, ParsedGraph, without_unread, written

HEADROOM = 1.1
"""By how much a channel may exceed what the frames showed before it is clipped, where a clip follows."""

MOST_SCALE = 64.0
"""That a channel is multiplied by: one that is always 0 has no range."""

LEAST_RANGE = 1e-9
"""Of a tensor, where no frame showed anything in it."""

PASSING = (*ACTIVATIONS, "MaxPool")
"""Operators whose result scales with what they read: a clip's at 0, and where its upper end scales, too."""


def with_equal_ranges(model: onnx.ModelProto, frames: MeasuringFrames) -> onnx.ModelProto:
    """The same function but for clips: what exceeds a channel's range on the frames by more than HEADROOM is cut."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    network = ParsedGraph(changed)
    groups = _Groups(network)
    scales = _scales(network, groups, frames)
    for each in network.convolutions:
        weights, bias = each.weights.astype(np.float64), each.bias.astype(np.float64)
        read, write = scales.get(groups.of(each.source)), scales.get(groups.of(each.result))
        if read is not None:
            rows = np.repeat(read.reshape(each.groups, -1), len(weights) // each.groups, axis=0)
            weights /= rows[:, :, None, None]
        if write is not None:
            weights, bias = weights * write[:, None, None, None], bias * write
        names = f"{each.node.name}_weights", f"{each.node.name}_bias"
        del each.node.input[1:]
        each.node.input.extend(names)
        changed.graph.initializer.extend(
            written(values.astype(np.float32), name) for values, name in zip((weights, bias), names, strict=True)
        )
    _scale_back(changed, network, groups, scales)
    without_unread(changed.graph)
    return changed


class _Groups:
    """Tensors whose channels have to be scaled alike: the two ends of an addition, a clip's two sides."""

    def __init__(self, network: ParsedGraph) -> None:
        self._parents: dict[str, str] = {each.result: each.result for each in network.convolutions}
        self.joined: set[str] = set()
        """The nodes that join tensors to one group."""
        for node in network.model.graph.node:
            known = [name in self._parents for name in node.input]
            if (node.op_type in PASSING and known[0]) or (node.op_type == "Add" and all(known)):
                self.joined.add(node.name)
                self._parents[node.output[0]] = node.output[0]
                for name in node.input[: 2 if node.op_type == "Add" else 1]:
                    self._parents[self.of(name)] = node.output[0]
        members: dict[str, list[str]] = defaultdict(list)
        for name in self._parents:
            members[self.of(name)].append(name)
        self.members = dict(members)

    def of(self, name: str) -> str:
        """The group's name; a tensor that is in none is its own."""
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name


def _scales(network: ParsedGraph, groups: _Groups, frames: MeasuringFrames) -> dict[str, np.ndarray]:
    """By what each group's channels are multiplied."""
    read = {each.source for each in network.convolutions}
    scaled = {
        name: members
        for name, members in groups.members.items()
        if read & set(members) and not network.outputs & set(members)
    }
    ranges = network.ranges(sorted({each for members in scaled.values() for each in members}), frames)
    found = {}
    for name, members in scaled.items():
        readers = [reader for each in members for reader in network.readers[each] if reader.op_type == "Clip"]
        ends = {_upper_end(network, reader) for reader in readers}
        counted = [each for each in members if not any(node.op_type in PASSING for node in network.readers[each])]
        top = np.max([np.abs(ranges[each]).max(axis=0) for each in counted or members], axis=0)
        if not ends:
            top = np.maximum(top, max(float(top.max()), LEAST_RANGE) / MOST_SCALE)
            found[name] = np.exp(np.log(top).mean()) / top
        elif len(ends) == 1 and (end := max(ends)) > 0:
            found[name] = end / np.clip(top * HEADROOM, end / MOST_SCALE, end)
    return found


def _upper_end(network: ParsedGraph, node: onnx.NodeProto) -> float:
    """Of a clip; 0 for one that does not begin at 0."""
    if len(node.input) != 3 or not all(name in network.constants for name in node.input[1:]):  # noqa: PLR2004
        return 0.0
    low, high = (float(network.constant(name)) for name in node.input[1:])
    return high if low == 0 else 0.0


def _scale_back(model: onnx.ModelProto, network: ParsedGraph, groups: _Groups, scales: dict[str, np.ndarray]) -> None:
    """Every other operator reads the tensors as they were."""
    nodes: list[onnx.NodeProto] = []
    own = {each.node.name for each in network.convolutions} | groups.joined
    done = set()
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if node.name in own or groups.of(name) not in scales:
                continue
            if name not in done:
                done.add(name)
                factor = (1 / scales[groups.of(name)]).astype(np.float32)[None, :, None, None]
                model.graph.initializer.append(written(factor, f"{name}_factor"))
                nodes.append(helper.make_node("Mul", [name, f"{name}_factor"], [f"{name}_as_it_was"], f"{name}_back"))
            node.input[place] = f"{name}_as_it_was"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
