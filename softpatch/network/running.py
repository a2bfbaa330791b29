"""ONNX Runtime sessions that fail where their provider fails, and run on the CPU or in a GPU's memory."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

from softpatch.network.graph import INPUT
from softpatch.network.providers import ORT_NAMES, Provider

ONLY_FATAL = 4  # onnxruntime prints what it then reports as an error; `Attempt.outcome` carries it instead
NOT_LOADED = "onnxruntime could not load it (driver or libraries missing)"
"""It leaves such a provider out, and only logs it."""


def open_session(model: bytes, provider: Provider, options: Sequence[dict[str, str]], *, cores: int = 1) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A session that fails where its provider fails, instead of going on with the CPU."""
    names = [ORT_NAMES[provider], ORT_NAMES["cuda"]][: len(options)]
    session = onnxruntime.InferenceSession(
        model, _session_options(provider, cores), providers=names, provider_options=list(options), enable_fallback=0
    )
    session.disable_fallback()
    return session


def _session_options(provider: Provider, cores: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = cores, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider != "cpu":
        options.log_severity_level = ONLY_FATAL
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


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


class Memory(NamedTuple):
    """An array that somebody else keeps, of one piece: on `cpu` or `cuda`, from this address on."""

    device: str
    address: int
    shape: tuple[int, ...]


def run_in_memory(session: Any, features: str, frames: Memory, embeddings: Memory) -> None:  # noqa: ANN401 - onnxruntime has no types
    """From uint8 frames to float32 embeddings in the caller's memory, with no copy; both are there when it returns.

    On a GPU it runs on a stream of its own: whatever was begun on both must have ended before.
    """
    binding = session.io_binding()
    binding.bind_input(INPUT, frames.device, 0, np.uint8, frames.shape, frames.address)
    binding.bind_output(features, embeddings.device, 0, np.float32, embeddings.shape, embeddings.address)
    session.run_with_iobinding(binding)
