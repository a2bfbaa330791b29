"""What fp16 does to a graph, reckoned on the CPU: every weight and every layer's output rounded to it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def rounded_to_fp16(model: bytes) -> bytes:
    """The graph whose weights and outputs have fp16's 10 bits of mantissa; sums are still in fp32, as on tensor cores.

    A GPU rounds less often: it fuses layers. Run it without optimisations, which would take the casts out.
    """
    whole = onnx.load_model_from_string(model)
    floats = {each.name for each in whole.graph.initializer if each.data_type == TensorProto.FLOAT}
    for each in whole.graph.initializer:
        if each.name in floats and numpy_helper.to_array(each).ndim > 1:
            half = numpy_helper.to_array(each).astype(np.float16).astype(np.float32)
            each.CopyFrom(numpy_helper.from_array(half, each.name))
    kinds = {
        each.name: each.type.tensor_type.elem_type for each in onnx.shape_inference.infer_shapes(whole).graph.value_info
    }
    kinds |= {each.name: each.type.tensor_type.elem_type for each in whole.graph.output}
    nodes = []
    for node in whole.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if kinds.get(name) == TensorProto.FLOAT:
                node.output[place] = f"{name}_exact"
                nodes += [
                    helper.make_node("Cast", [f"{name}_exact"], [f"{name}_half"], to=TensorProto.FLOAT16),
                    helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT),
                ]
    del whole.graph.node[:]
    whole.graph.node.extend(nodes)
    del whole.graph.value_info[:]
    rounded: bytes = whole.SerializeToString(deterministic=True)
    return rounded
