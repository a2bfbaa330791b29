"""The order of a build and its answers: values that cross from one process to another as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from softpatch.gate.measures import GateMeasures
from softpatch.manifest import GroupLabel
from softpatch.settings import BuildSettings

ProviderChoice = Literal["auto", "tensorrt", "cuda", "cpu"]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetworkRun(_Wire):
    """On what builds run the network, and how precisely; engines of TensorRT are kept in `engine_cache`."""

    provider: ProviderChoice = "auto"
    precision: Literal["auto", "fp32", "fp16"] = "auto"
    engine_cache: str | None = None
    """None: `auto` leaves TensorRT out, which would compile an engine for every input size that is tried."""


class AnnotationOrder(_Wire):
    """Frames with a label that a build follows. Paths of `frames` lie in the store; one that is gone is left out."""

    id: str
    label: GroupLabel
    origin: Literal["group", "feedback"]
    box_xyxy: tuple[float, float, float, float] | None
    frames: tuple[str, ...]


class GateOrder(_Wire):
    """What the new bank is held against: the parent with the threshold in force, and a reference; versions."""

    parent_threshold: float | None
    previous: str | None = None
    """The bank that was in force before the parent: for where the parent itself cannot say what is new."""
    previous_threshold: float | None = None
    reference: str | None
    quarantine_frames: int | None


class BuildOrder(_Wire):
    """One build, whole: the child needs nothing else. Paths of `frames` lie in the store, others here."""

    view: str
    store_url: str
    frames: tuple[str, ...]
    frame_names: tuple[str, ...]
    annotations: tuple[AnnotationOrder, ...] = ()
    graph: str
    """File of the ONNX graph."""
    network: NetworkRun
    threads: int
    niceness: int
    settings: BuildSettings
    created_at: str
    provenance: dict[str, Any]
    parent: str | None
    frames_per_second: float | None = None
    """That the view sends; None where its window does not tell."""
    gate: GateOrder | None = None
    """None: the bank is not examined."""
    max_pixels: int
    """Of a frame that is used; a larger one is left out."""
    result: str
    """Where the bank is written: beside it first, then renamed."""


class BuildStep(_Wire):
    """How far the build is: `done` of `total` in this stage."""

    stage: str
    done: int
    total: int


class BuildFinished(_Wire):
    """The bank lies where the order wanted it. Seconds each stage took, from its first step to the next one's."""

    stage_seconds: dict[str, float]
    measures: GateMeasures | None = None
    """For the gate, where the order asked for them."""


class BuildFailed(_Wire):
    """There is no bank, and one sentence that says why."""

    failed: str


BuildAnswer = BuildStep | BuildFinished | BuildFailed
_ANSWER: TypeAdapter[BuildAnswer] = TypeAdapter(BuildAnswer)


def line_of(answer: BuildAnswer) -> bytes:
    """An answer as one line."""
    return answer.model_dump_json().encode() + b"\n"


def answer_of(line: bytes) -> BuildAnswer:
    """The answer in a line. Raises ValidationError for a line that is none."""
    return _ANSWER.validate_json(line)
