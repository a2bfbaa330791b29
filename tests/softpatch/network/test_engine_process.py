"""An engine is compiled by a child; how it fails reaches the parent in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime
import pytest

from softpatch.network import engine_process
from softpatch.network.engine_process import EngineNotCompiled, compile_engine
from softpatch.network.graph import lite0
from softpatch.network.libraries import NO_GPU, gpu_name
from softpatch.network.providers import FrameShapes, Precision, provider_options
from softpatch.network.running import NOT_LOADED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

BUILT_FOR_IT = "TensorrtExecutionProvider" in onnxruntime.get_available_providers()
OPTIONS = provider_options("tensorrt", "fp16", FrameShapes(64, 64, 2))


def failure(precision: Precision = "fp16") -> str:
    """What the parent is told."""
    with pytest.raises(EngineNotCompiled) as caught:
        compile_engine(b"a model", OPTIONS, precision)
    return str(caught.value)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that stands in for the child's interpreter."""
    program = tmp_path / "child"
    program.touch(mode=0o755)
    monkeypatch.setattr(engine_process.sys, "executable", str(program))
    return program


@pytest.mark.slow
@pytest.mark.skipif(gpu_name() != NO_GPU, reason="this machine has a GPU, which may compile it")
def test_without_tensorrt_the_child_says_so() -> None:
    """The real child, and this ONNX Runtime; one that is built for it names the libraries that are missing."""
    with pytest.raises(EngineNotCompiled) as caught:
        compile_engine(lite0().model_of("wide"), OPTIONS, "fp16")
    said = str(caught.value)
    assert BUILT_FOR_IT or said.startswith(NOT_LOADED)
    assert "; not loaded: " in said


def test_a_child_that_is_killed_is_no_engine(child: Path) -> None:
    """Compiling takes gigabytes."""
    child.write_text("#!/bin/sh\nkill -KILL $$\n")
    assert failure() == "the process that compiled its engine was killed by SIGKILL, most likely out of memory"
    child.write_text("#!/bin/sh\nkill -SEGV $$\n")
    assert failure() == "the process that compiled its engine was killed by SIGSEGV"


def test_the_child_is_given_the_model_and_the_options(child: Path) -> None:
    """By a file and on stdin; the last line that it prints is the reason."""
    child.write_text('#!/bin/sh\ncat "$3"; echo " $2"; cat; exit 1\n')
    assert failure().startswith('[{"trt_fp16_enable": "True", ')
    child.write_text('#!/bin/sh\ncat "$3"; exit 1\n')
    assert failure() == "a model"
    child.write_text("#!/bin/sh\necho Traceback; echo ImportError >&2; exit 1\n")
    assert failure() == "Traceback"


def test_fp32_is_compiled_without_tf32(child: Path) -> None:
    """Ten bits of mantissa are no fp32."""
    child.write_text('#!/bin/sh\necho "TF32: ${NVIDIA_TF32_OVERRIDE:-as it likes}"; exit 1\n')
    assert failure("fp32") == "TF32: 0"
    assert failure("fp16") == "TF32: as it likes"


def test_a_child_that_ends_well_has_compiled_it(child: Path) -> None:
    """Nothing is raised."""
    child.write_text("#!/bin/sh\ncat > /dev/null\n")
    compile_engine(b"a model", OPTIONS, "fp16")
