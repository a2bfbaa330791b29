"""ONNX Runtime sessions that have proven on frames that they run where they say and compute what the CPU computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from softpatch.network.cast_first import cast_first
from softpatch.network.engine_process import EngineNotCompiled, compile_engine
from softpatch.network.engines import Engine, EngineCache
from softpatch.network.graph import Graph
from softpatch.network.libraries import NO_GPU, gpu_name, missing_libraries
from softpatch.network.providers import (
    ORT_NAMES,
    FrameShapes,
    Precision,
    PrecisionChoice,
    Provider,
    precision_of,
    provider_options,
)
from softpatch.network.running import NOT_LOADED, open_session, run, run_bound

MOST_DIFFERENCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 5e-2}
"""How far a patch's embedding may lie from the CPU's, as a share of the embeddings' root mean square length."""

HEAVY = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
"""Operators that a GPU has to run; the few that reckon shapes may stay on the CPU."""

NOT_BUILT_IN = "is built without it"


class SessionRefused(RuntimeError):
    """No session of this provider has proven itself; the message says why."""


def proven_session(
    graph: Graph,
    features: str,
    provider: Provider,
    shapes: FrameShapes,
    *,
    precision: PrecisionChoice = "auto",
    engines: EngineCache | None = None,
) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A session that has run frames on this provider.

    On a GPU it has run a batch of every bucket in device memory; no layer that costs time runs elsewhere, and its
    embeddings are the CPU's within MOST_DIFFERENCE. TensorRT compiles an engine for these shapes, which takes minutes;
    one that `engines` holds is loaded, and compiled again where it does not prove itself.

    Raises:
        SessionRefused: with the reason why there is none.
    """
    if ORT_NAMES[provider] not in onnxruntime.get_available_providers():
        raise SessionRefused(f"this onnxruntime {onnxruntime.__version__} {NOT_BUILT_IN}")
    taken = precision_of(provider, precision, graph.precision)
    if taken is None and graph.precision == "int8":
        asked = "" if precision == "auto" else f", and the settings ask for {precision}"
        raise SessionRefused(f"the network {graph.name} is in int8, for the CPU{asked}")
    if taken is None:
        raise SessionRefused(f"it does not compute in {precision}, which the settings ask for")
    wanted = _Wanted(graph, features, provider, taken, shapes)
    if provider != "tensorrt" or engines is None or gpu_name() == NO_GPU:
        return _proven(wanted)
    return _with_engine(wanted, engines)


@dataclass(frozen=True)
class _Wanted:
    """What a session is to compute, and where."""

    graph: Graph
    features: str
    provider: Provider
    precision: Precision
    shapes: FrameShapes


def _with_engine(wanted: _Wanted, engines: EngineCache) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """Of the engine that is there, unless it fails; else of a new one."""
    missing_libraries("tensorrt")  # loads them: an engine's place asks TensorRT for its version
    engine = Engine(wanted.graph.hash, wanted.features, wanted.shapes, wanted.precision)
    place = engines.place(engine)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SessionRefused(f"its engines cannot be kept in {engines.folder}: {error.strerror}") from error
    with engines.locked(engine):
        if engines.holds(engine):
            try:
                return _proven(wanted, place)
            except SessionRefused:  # damaged, or of something that its place does not tell
                engines.discard(engine)
        with engines.compiling(engine):
            try:
                compile_engine(_model(wanted), _options(wanted, place), wanted.precision)
                return _proven(wanted, place)
            except (EngineNotCompiled, SessionRefused) as error:
                engines.discard(engine)
                raise SessionRefused(str(error)) from error


def _proven(wanted: _Wanted, engine_folder: Path | None = None) -> Any:  # noqa: ANN401 - onnxruntime has no types
    provider = wanted.provider
    missing = "" if provider == "cpu" else "; ".join(missing_libraries(provider))
    try:
        session = open_session(_model(wanted), provider, _options(wanted, engine_folder))
        refused = _refused_because(session, wanted)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a type of its own per status, all direct children of Exception
        refused = " ".join(str(error).split())
    if refused is None:
        return session
    raise SessionRefused(f"{refused}; not loaded: {missing}" if missing else refused)


def session_on_cores(graph: Graph, features: str, cores: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A session of the CPU that runs one frame on several cores; its threads sleep while they wait."""
    return open_session(graph.model_of(features), "cpu", [{}], cores=cores)


def _model(wanted: _Wanted) -> bytes:
    model = wanted.graph.model_of(wanted.features)
    return model if wanted.provider == "cpu" else cast_first(model)


def _options(wanted: _Wanted, engine_folder: Path | None) -> list[dict[str, str]]:
    return provider_options(wanted.provider, wanted.precision, wanted.shapes, engine_folder)


def _refused_because(session: Any, wanted: _Wanted) -> str | None:  # noqa: ANN401 - onnxruntime has no types
    graph, features, provider, shapes = wanted.graph, wanted.features, wanted.provider, wanted.shapes
    if provider == "cpu":
        return _wrong_shape(run(session, features, two_frames(shapes)[:1]), graph, features, shapes)
    if session.get_providers()[0] != ORT_NAMES[provider]:
        return NOT_LOADED
    two = two_frames(shapes)
    reference = _of_the_cpu(graph, features, two)
    for count in shapes.buckets:
        which = np.arange(count) % len(two)
        given = run_bound(session, features, two[which])
        if session.get_providers()[0] != ORT_NAMES[provider]:
            return f"at a batch of {count} onnxruntime moved the run to {session.get_providers()[0]}"
        if wrong := _wrong_shape(given[:1], graph, features, shapes):
            return wrong
        if wrong := wrong_values(given, reference[which], wanted.precision):
            return f"at a batch of {count} {wrong}"
    return _left_to_the_cpu(session)


def two_frames(shapes: FrameShapes) -> np.ndarray:
    """Noise, and a smooth slope of light: two frames that have little in common."""
    height, width = shapes.height_px, shapes.width_px
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    slope = np.add.outer(np.linspace(0, 127, height), np.linspace(0, 128, width)).astype(np.uint8)
    return np.stack([noise, np.repeat(slope[..., None], 3, axis=-1)])


def _of_the_cpu(graph: Graph, features: str, frames: np.ndarray) -> np.ndarray:
    session = open_session(graph.model_of(features), "cpu", [{}])
    return np.concatenate([run(session, features, frames[i : i + 1]) for i in range(len(frames))])


def _wrong_shape(given: np.ndarray, graph: Graph, features: str, shapes: FrameShapes) -> str | None:
    stride, dimension = graph.features[features].stride_px, graph.features[features].dimension
    said = (1, shapes.height_px // stride, shapes.width_px // stride, dimension)
    return None if given.shape == said else f"it gives embeddings {given.shape} where the graph's metadata say {said}"


def wrong_values(given: np.ndarray, expected: np.ndarray, precision: Precision) -> str | None:
    """By how much embeddings are farther from the CPU's than a precision explains; None where they are not."""
    length = float(np.sqrt(np.square(expected).sum(axis=-1).mean()))
    difference, most = float(np.linalg.norm(given - expected, axis=-1).max()) / length, MOST_DIFFERENCE[precision]
    if difference <= most:  # not so where it is no number
        return None
    return f"its embeddings differ from the CPU's by {difference:.2%} of their length; {precision} may by {most:.2%}"


def _left_to_the_cpu(session: Any) -> str | None:  # noqa: ANN401 - onnxruntime has no types
    """Whether layers that cost time were given to the CPU."""
    assigned = getattr(session, "get_provider_graph_assignment_info", None)  # since ONNX Runtime 1.24
    if assigned is None:
        return None
    left = [node for part in assigned() if part.ep_name == ORT_NAMES["cpu"] for node in part.get_nodes()]
    heavy = sorted(node.name for node in left if node.op_type in HEAVY)
    return f"{len(heavy)} layers were left to the CPU, {heavy[0]} first" if heavy else None
