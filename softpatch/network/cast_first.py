"""A graph whose frames are cast before anything else is done with them: TensorRT transposes no uint8."""

import onnx

from softpatch.network.graph import INPUT

OF_ANY_TYPE = {"Shape", "Transpose"}
"""Operators that do to numbers of one type what they do to those of another."""


def cast_first(model: bytes) -> bytes:
    """The same computation with a Cast as the first node, where the frames are only measured and transposed before it.

    To the bit: cast and transposition commute. Graphs are changed as they go to a GPU, not in their files: a graph is
    known by the hash of its file, and banks belong to it.
    """
    whole = onnx.load_model_from_string(model)
    nodes = whole.graph.node
    first = [node for node in nodes if INPUT in node.input]
    moved = {output for node in first if node.op_type == "Transpose" for output in node.output}
    casts = [node for node in nodes if moved & set(node.input)]
    if not {node.op_type for node in first} <= OF_ANY_TYPE or {node.op_type for node in casts} != {"Cast"}:
        return model
    cast = onnx.NodeProto()
    cast.CopyFrom(casts[0])
    cast.name, cast.input[0], cast.output[0] = "cast_first", INPUT, f"{INPUT}_cast"
    for node in first:
        node.input[0] = cast.output[0]
    nodes.insert(0, cast)  # the casts behind the transpositions do nothing any more
    part: bytes = whole.SerializeToString(deterministic=True)
    return part
