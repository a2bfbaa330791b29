"""The libraries that a GPU needs, loaded from where pip puts them, before the first session; and what they call it."""

import ctypes
import importlib
import io
from contextlib import redirect_stdout
from functools import cache
from typing import Any, Literal

import onnxruntime


@cache
def missing_libraries(provider: Literal["tensorrt", "cuda"]) -> tuple[str, ...]:
    """Load CUDA and cuDNN, for TensorRT that, too; once for each process. What failed to load, one sentence each.

    pip's packages lie where the system's loader does not look; loaded once by their path, ONNX Runtime finds them by
    name.
    """
    failed = _cuda_missing()
    return failed if provider == "cuda" else (*failed, *_tensorrt_missing())


@cache
def _cuda_missing() -> tuple[str, ...]:
    preload = getattr(onnxruntime, "preload_dlls", None)  # since ONNX Runtime 1.21
    if preload is None:
        return ()
    said = io.StringIO()
    try:
        with redirect_stdout(said):  # it prints what failed, and raises nothing
            preload()
    except Exception as error:  # noqa: BLE001 - a loader's error is a reason, not an end
        return (" ".join(str(error).split()),)
    prefix = "Failed to load "
    lines = [line.removeprefix(prefix) for line in said.getvalue().splitlines() if line.startswith(prefix)]
    return tuple(dict.fromkeys(lines))


def _tensorrt_missing() -> tuple[str, ...]:
    try:
        importlib.import_module("tensorrt")  # loads libnvinfer
    except Exception as error:  # noqa: BLE001 - as above: its loader raises what it likes
        return (f"tensorrt: {' '.join(str(error).split())}",)
    return ()


def gpu_name(load: Any = ctypes.CDLL) -> str:  # noqa: ANN401 - a library's functions have no types
    """What the driver calls the first GPU that this process may use; `no GPU` where there is none."""
    name, device = ctypes.create_string_buffer(256), ctypes.c_int()
    try:
        driver = load("libcuda.so.1")
    except OSError:
        return NO_GPU
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        return NO_GPU
    return NO_GPU if driver.cuDeviceGetName(name, len(name), device) else name.value.decode("utf-8", "replace")


def tensorrt_version(load: Any = ctypes.CDLL) -> str:  # noqa: ANN401 - as above
    """TensorRT's number, as 101600 of 10.16.0; `none` where its library does not load."""
    try:
        return str(load("libnvinfer.so.10").getInferLibVersion())
    except (OSError, AttributeError):
        return "none"


NO_GPU = "no GPU"
