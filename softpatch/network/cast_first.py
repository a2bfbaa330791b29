"""A graph's frames cast before they are transposed, as TensorRT wants them, which transposes no uint8."""

import onnx

from softpatch.network.graph import INPUT


def cast_first(model: bytes) -> bytes:
    """The same computation with a Cast as the first node, where the graph begins with a Transpose and a Cast.

    The two commute to the bit. Graphs are changed as they go to a GPU, not in their files: a graph is known by the hash
    of its file, and banks belong to it.
    """
    whole = onnx.load_model_from_string(model)
    first = [node for node in whole.graph.node if INPUT in node.input]
    second = [node for node in whole.graph.node if first and set(first[0].output) & set(node.input)]
    if [node.op_type for node in (*first, *second)] != ["Transpose", "Cast"]:
        return model
    (transpose,), (cast,) = first, second
    between, given = transpose.output[0], cast.output[0]
    cast.input[0], cast.output[0] = INPUT, between
    transpose.input[0], transpose.output[0] = between, given
    later = onnx.NodeProto()
    later.CopyFrom(transpose)
    transpose.CopyFrom(cast)  # the nodes of a graph stand in the order in which they run
    cast.CopyFrom(later)
    part: bytes = whole.SerializeToString(deterministic=True)
    return part
