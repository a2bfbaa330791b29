"""ONNX Runtime sessions that have proven on frames that they run where they say and compute what the CPU computes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime

from softpatch.network.graph import INPUT, Graph
from softpatch.network.libraries import missing_libraries

Provider = Literal["tensorrt", "cuda", "cpu"]
Precision = Literal["fp32", "fp16"]

ORT_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
PRECISIONS: Mapping[Provider, Precision] = {"tensorrt": "fp16", "cuda": "fp32", "cpu": "fp32"}
MOST_DIFFERENCE: Mapping[Precision, float] = {"fp32": 1e-3, "fp16": 5e-2}
"""How far a patch's embedding may lie from the CPU's, as a share of the embeddings' root mean square length."""

HEAVY = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
"""Operators that a GPU has to run; the few that reckon shapes may stay on the CPU."""

ONLY_FATAL = 4  # onnxruntime prints what it then reports as an error; `Attempt.outcome` carries it instead


@dataclass(frozen=True)
class FrameShapes:
    """The inputs to expect: the height and width of every frame, and the most frames at once (TensorRT's profile)."""

    height_px: int = 224
    width_px: int = 224
    max_frames: int = 16


def proven_session(
    graph: Graph, features: str, provider: Provider, shapes: FrameShapes, engine_cache: Path | None
) -> Any | str:  # noqa: ANN401 - onnxruntime has no types
    """A session that has run frames on this provider, or the reason why there is none.

    On a GPU it has run one frame and `max_frames`, in device memory; no layer that costs time runs elsewhere, and its
    embeddings are the CPU's within MOST_DIFFERENCE.
    """
    if ORT_NAMES[provider] not in onnxruntime.get_available_providers():
        return f"this onnxruntime {onnxruntime.__version__} is built without it"
    missing = "" if provider == "cpu" else "; ".join(missing_libraries(provider))
    try:
        session = _opened(
            graph.model_of(features), provider, provider_options(graph, features, provider, shapes, engine_cache)
        )
        refused = _refused_because(session, graph, features, provider, shapes)
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a type of its own per status, all direct children of Exception
        refused = " ".join(str(error).split())
    if refused is None:
        return session
    return f"{refused}; not loaded: {missing}" if missing else refused


def run(session: Any, features: str, frames: np.ndarray) -> np.ndarray:  # noqa: ANN401 - onnxruntime has no types
    """The embeddings of these frames."""
    return np.asarray(session.run([features], {INPUT: frames})[0])


def run_bound(session: Any, features: str, frames: np.ndarray) -> np.ndarray:  # noqa: ANN401 - onnxruntime has no types
    """With input and output in device memory: one copy in, one copy out, none between the layers."""
    binding = session.io_binding()
    on_device = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(frames), "cuda", 0)
    binding.bind_ortvalue_input(INPUT, on_device)
    binding.bind_output(features, "cuda", 0)
    session.run_with_iobinding(binding)
    return np.asarray(binding.copy_outputs_to_cpu()[0])


def provider_options(
    graph: Graph, features: str, provider: Provider, shapes: FrameShapes, engine_cache: Path | None
) -> list[dict[str, str]]:
    """Options of the provider and, after TensorRT, of CUDA, which runs the layers that TensorRT does not take.

    ONNX Runtime wants `True` and `False` of TensorRT, and `0` and `1` of CUDA; another word throws.
    """
    cuda = {"use_tf32": "0"}  # without it "fp32" would multiply 10 bits of mantissa
    if provider != "tensorrt":
        return [cuda if provider == "cuda" else {}]
    low, high = (f"{INPUT}:{count}x{shapes.height_px}x{shapes.width_px}x3" for count in (1, shapes.max_frames))
    options = {
        "trt_fp16_enable": "True",
        "trt_profile_min_shapes": low,
        "trt_profile_opt_shapes": high,
        "trt_profile_max_shapes": high,
    }
    if engine_cache is not None:
        # TensorRT puts its own version and the GPU's architecture into the file names inside.
        name = f"{graph.hash[:16]}-{features}-fp16-{high.split(':')[1]}-onnxruntime-{onnxruntime.__version__}"
        folder = engine_cache / name
        folder.mkdir(parents=True, exist_ok=True)
        options |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(folder),
        }
    return [options, cuda]


def _opened(model: bytes, provider: Provider, options: list[dict[str, str]]) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A session that fails where its provider fails, instead of going on with the CPU."""
    names = [ORT_NAMES[provider], ORT_NAMES["cuda"]][: len(options)]
    session = onnxruntime.InferenceSession(
        model, _session_options(provider), providers=names, provider_options=options, enable_fallback=0
    )
    session.disable_fallback()
    return session


def _session_options(provider: Provider) -> Any:  # noqa: ANN401 - onnxruntime has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider != "cpu":
        options.log_severity_level = ONLY_FATAL
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _refused_because(
    session: Any,  # noqa: ANN401 - onnxruntime has no types
    graph: Graph,
    features: str,
    provider: Provider,
    shapes: FrameShapes,
) -> str | None:
    if provider == "cpu":
        return _wrong_shape(run(session, features, _two_frames(shapes)[:1]), graph, features, shapes)
    if (
        session.get_providers()[0] != ORT_NAMES[provider]
    ):  # onnxruntime leaves out what it cannot load, and only logs it
        return "onnxruntime could not load it (driver or libraries missing)"
    two = _two_frames(shapes)
    reference = _of_the_cpu(graph, features, two)
    for count in sorted({1, shapes.max_frames}):
        which = np.arange(count) % len(two)
        given = run_bound(session, features, two[which])
        if session.get_providers()[0] != ORT_NAMES[provider]:
            return f"at a batch of {count} onnxruntime moved the run to {session.get_providers()[0]}"
        if wrong := _wrong_shape(given[:1], graph, features, shapes):
            return wrong
        if wrong := _wrong_values(given, reference[which], PRECISIONS[provider]):
            return f"at a batch of {count} {wrong}"
    return _left_to_the_cpu(session)


def _two_frames(shapes: FrameShapes) -> np.ndarray:
    """Noise, and a smooth slope of light: two frames that have little in common."""
    height, width = shapes.height_px, shapes.width_px
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    slope = np.add.outer(np.linspace(0, 127, height), np.linspace(0, 128, width)).astype(np.uint8)
    return np.stack([noise, np.repeat(slope[..., None], 3, axis=-1)])


def _of_the_cpu(graph: Graph, features: str, frames: np.ndarray) -> np.ndarray:
    session = _opened(graph.model_of(features), "cpu", [{}])
    return np.concatenate([run(session, features, frames[i : i + 1]) for i in range(len(frames))])


def _wrong_shape(given: np.ndarray, graph: Graph, features: str, shapes: FrameShapes) -> str | None:
    stride, dimension = graph.features[features].stride_px, graph.features[features].dimension
    said = (1, shapes.height_px // stride, shapes.width_px // stride, dimension)
    return None if given.shape == said else f"it gives embeddings {given.shape} where the graph's metadata say {said}"


def _wrong_values(given: np.ndarray, expected: np.ndarray, precision: Precision) -> str | None:
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
