"""A graph: normalisation, backbone and patch embeddings in one ONNX file, known by the sha256 of its bytes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # protobuf ships no types
from onnx.utils import Extractor
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError

INPUT_MULTIPLE_PX = 32
"""What the sides of an input are a multiple of, unless a graph says otherwise."""

INPUT = "frames"

GraphPrecision = Literal["fp32", "int8"]


class InvalidGraph(ValueError):
    """This file is not a graph that Patchline can run; the message says why."""


class FeatureSet(BaseModel):
    """One way in which a graph embeds a frame: an output of its own, one embedding for each `stride_px` square."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    stride_px: PositiveInt
    dimension: PositiveInt


@dataclass(frozen=True)
class Graph:
    """uint8 [N, H, W, 3] (RGB) in; each feature set's embeddings out: float32 [N, H/stride, W/stride, dimension].

    H and W are multiples of `input_multiple_px`. The first feature set is the one to take where nobody says which.
    `precision` is what its layers compute in: a graph in `int8` is for the CPU.
    """

    name: str
    features: Mapping[str, FeatureSet]
    input_multiple_px: int
    model: bytes = field(repr=False)
    precision: GraphPrecision = "fp32"

    @cached_property
    def hash(self) -> str:
        """sha256 of the file, in hex: a bank belongs to one graph, byte for byte. Every frame's sketch asks for it."""
        return hashlib.sha256(self.model).hexdigest()

    @property
    def default_features(self) -> str:
        """The name of the first feature set."""
        return next(iter(self.features))

    def model_of(self, features: str) -> bytes:
        """The part of the graph that computes one feature set: ONNX Runtime runs all of what it is given."""
        whole = onnx.load_model_from_string(self.model)
        part: bytes = Extractor(whole).extract_model([INPUT], [features]).SerializeToString(deterministic=True)
        return part


EMBEDDED = ("lite0", "lite2")
"""The networks that come with Patchline: EfficientNet-Lite0, the default, and Lite2. They need no torch."""


@cache
def embedded(name: str) -> Graph:
    """One of `EMBEDDED`."""
    file = f"{name}.onnx"
    return graph_from_bytes((files("softpatch.network") / "graphs" / file).read_bytes(), source=file)


def lite0() -> Graph:
    """The embedded default, EfficientNet-Lite0."""
    return embedded("lite0")


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
        raise InvalidGraph(f"{source} is not an ONNX file; {_HINT}") from error
    metadata = {entry.key: entry.value for entry in parsed.metadata_props}
    missing = {"name", "features", "input_multiple_px"} - metadata.keys()
    if missing:
        raise InvalidGraph(f"{source} lacks the metadata {', '.join(sorted(missing))}; {_HINT}")
    try:
        features = _FEATURES.validate_json(metadata["features"])
        multiple = _MULTIPLE.validate_json(metadata["input_multiple_px"])
        precision = _PRECISION.validate_python(metadata.get("precision", "fp32"))
    except ValidationError as error:
        raise InvalidGraph(f"{source} has metadata that cannot be read: {error.errors()[0]['msg']}; {_HINT}") from error
    if _ends(parsed.graph) != [(INPUT, onnx.TensorProto.UINT8, 4, 3), *_described(features)]:
        raise InvalidGraph(f"{source} does not map uint8 frames [N,H,W,3] to the embeddings it names; {_HINT}")
    return Graph(name=metadata["name"], features=features, input_multiple_px=multiple, model=model, precision=precision)


_HINT = "make one with python -m softpatch.network.export"
_FEATURES = TypeAdapter(Annotated[dict[str, FeatureSet], Field(min_length=1)])
_MULTIPLE: TypeAdapter[int] = TypeAdapter(PositiveInt)
_PRECISION: TypeAdapter[GraphPrecision] = TypeAdapter(GraphPrecision)


def graph_metadata(
    name: str, features: Mapping[str, FeatureSet], *, input_multiple_px: int, precision: GraphPrecision = "fp32"
) -> dict[str, str]:
    """What a graph file says of itself; one that says nothing of its precision is in fp32."""
    described = {key: each.model_dump() for key, each in features.items()}
    said = {"name": name, "features": json.dumps(described), "input_multiple_px": str(input_multiple_px)}
    return said if precision == "fp32" else said | {"precision": precision}


_End = tuple[str, int, int, int]  # name, element type, axes, length of the last


def _described(features: Mapping[str, FeatureSet]) -> list[_End]:
    return [(name, onnx.TensorProto.FLOAT, 4, each.dimension) for name, each in features.items()]


def _ends(graph: onnx.GraphProto) -> list[_End]:
    ends = [(end.name, end.type.tensor_type) for end in (*graph.input, *graph.output)]
    return [(name, kind.elem_type, len(kind.shape.dim), kind.shape.dim[-1].dim_value) for name, kind in ends]
