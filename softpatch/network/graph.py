"""A graph: normalisation, backbone and patch embedding in one ONNX file, known by the sha256 of its bytes."""

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # protobuf ships no types

STRIDE_PX = 8
INPUT_MULTIPLE_PX = 32
INPUT, OUTPUT = "frames", "embeddings"


class InvalidGraph(ValueError):
    """This file is not a graph that Patchline can run; the message says why."""


@dataclass(frozen=True)
class Graph:
    """uint8 [N, H, W, 3] (RGB, H and W multiples of 32) in, float32 [N, H/8, W/8, dimension] out."""

    name: str
    dimension: int
    model: bytes = field(repr=False)

    @property
    def hash(self) -> str:
        """sha256 of the file, in hex: a bank belongs to one graph, byte for byte."""
        return hashlib.sha256(self.model).hexdigest()


@cache
def lite0() -> Graph:
    """The embedded default, EfficientNet-Lite0 with 40 + 112 channels; it needs no torch."""
    return graph_from_bytes((files("softpatch.network") / "graphs" / "lite0.onnx").read_bytes(), source="lite0.onnx")


def load_graph(path: Path) -> Graph:
    """The graph in a file.

    Raises:
        InvalidGraph: there is no such file, or it is not a graph of ours.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise InvalidGraph(f"cannot read {path}: {error.strerror}") from error
    return graph_from_bytes(model, source=str(path))


def graph_from_bytes(model: bytes, *, source: str) -> Graph:
    """The graph in these bytes; `source` names them in errors.

    Raises:
        InvalidGraph: not ONNX, or without the input, output or metadata that `softpatch.network.export` writes.
    """
    try:
        parsed = onnx.load_model_from_string(model)
    except DecodeError as error:
        raise InvalidGraph(f"{source} is not an ONNX file; make one with python -m softpatch.network.export") from error
    metadata = {entry.key: entry.value for entry in parsed.metadata_props}
    problem = _problem(parsed.graph, metadata)
    if problem:
        raise InvalidGraph(f"{source} {problem}; make one with python -m softpatch.network.export")
    return Graph(name=metadata["name"], dimension=int(metadata["dimension"]), model=model)


def _problem(graph: onnx.GraphProto, metadata: dict[str, str]) -> str | None:
    missing = {"name", "dimension", "stride"} - metadata.keys()
    if missing:
        return f"lacks the metadata {', '.join(sorted(missing))}"
    if metadata["stride"] != str(STRIDE_PX):
        return f"has stride {metadata['stride']}, not {STRIDE_PX}"
    ends = [(end.name, end.type.tensor_type) for end in (*graph.input, *graph.output)]
    described = [(name, kind.elem_type, len(kind.shape.dim), kind.shape.dim[-1].dim_value) for name, kind in ends]
    expected = [(INPUT, onnx.TensorProto.UINT8, 4, 3), (OUTPUT, onnx.TensorProto.FLOAT, 4, _number(metadata))]
    return None if described == expected else "does not map uint8 frames [N,H,W,3] to float embeddings [N,H/8,W/8,d]"


def _number(metadata: dict[str, str]) -> int:
    return int(metadata["dimension"]) if metadata["dimension"].isdecimal() else -1
