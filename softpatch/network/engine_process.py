"""TensorRT's compiling in a process of its own: `python -m softpatch.network.engine_process MODEL_FILE PARENT_PID`.

It takes minutes and gigabytes, and ONNX Runtime 1.26 lets no other thread of Python run meanwhile: no health page would
answer, and no frame be decided. The engine is left where the options of the provider, which come on stdin, say.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from softpatch.network.libraries import missing_libraries
from softpatch.network.providers import ORT_NAMES, Precision
from softpatch.network.running import NOT_LOADED, open_session, run_bound

PR_SET_PDEATHSIG = 1


class EngineNotCompiled(RuntimeError):
    """TensorRT gave no engine; the message says why."""


def compile_engine(model: bytes, options: Sequence[Mapping[str, str]], precision: Precision) -> None:
    """Compile what the options describe, in a child that ends with this thread.

    Raises:
        EngineNotCompiled: with what the child said, or how it ended.
    """
    # TensorRT has no option of ONNX Runtime that turns TF32 off; it looks at this when it compiles.
    exact = {"NVIDIA_TF32_OVERRIDE": "0"} if precision == "fp32" else {}
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(model)
        file.flush()
        child = subprocess.run(  # noqa: S603 -- our own interpreter and module
            [sys.executable, "-m", "softpatch.network.engine_process", file.name, str(os.getpid())],
            input=json.dumps([dict(each) for each in options]),
            env={**os.environ, **exact},  # passed on, not read
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode < 0:
        raise EngineNotCompiled(f"the process that compiled its engine was killed by {_signal(-child.returncode)}")
    if child.returncode:
        said = (child.stdout.strip() or child.stderr.strip() or "nothing").splitlines()
        raise EngineNotCompiled(said[-1])


def main(model_file: str, parent_pid: str) -> int:
    """Compile, and run the largest batch, for which the engine has to be whole; a failure is one line on stdout."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent_pid):
        return 1
    options = json.load(sys.stdin)
    missing = "; ".join(missing_libraries("tensorrt"))
    try:
        session = open_session(Path(model_file).read_bytes(), "tensorrt", options)
        refused = NOT_LOADED if session.get_providers()[0] != ORT_NAMES["tensorrt"] else None
        if refused is None:
            shape = options[0]["trt_profile_max_shapes"].partition(":")[2].split("x")
            run_bound(session, session.get_outputs()[0].name, np.zeros([int(side) for side in shape], np.uint8))
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a type of its own per status, all direct children of Exception
        refused = " ".join(str(error).split())
    if refused is None:
        return 0
    sys.stdout.write(f"{refused}; not loaded: {missing}\n" if missing else f"{refused}\n")
    return 1


def _signal(number: int) -> str:
    name = signal.Signals(number).name
    return f"{name}, most likely out of memory" if name == "SIGKILL" else name


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
