"""TensorRT's compiled engines on disk: where each lies, one process at a time, compiled again where one is damaged."""

import fcntl
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from softpatch.network.libraries import gpu_name, tensorrt_version
from softpatch.network.providers import FrameShapes, Precision


@dataclass(frozen=True)
class Engine:
    """What TensorRT compiles: one feature set of a graph, for frames of one size, up to so many at once."""

    graph_hash: str
    features: str
    shapes: FrameShapes
    precision: Precision

    def __str__(self) -> str:
        shapes = self.shapes
        size = f"{shapes.width_px}x{shapes.height_px} px"
        return f"{self.features} of {size}, up to {shapes.buckets[-1]} frames, {self.precision}"


Compiling = Callable[[Engine], AbstractContextManager[None]]
"""Entered while an engine is compiled, which takes minutes; what ends it without an engine is raised through it."""


def silently(_: Engine) -> AbstractContextManager[None]:
    """Tell nobody."""
    return nullcontext()


@dataclass(frozen=True)
class EngineCache:
    """A folder of engines, which several processes may share; `compiling` hears of each that is compiled."""

    folder: Path
    compiling: Compiling = silently

    def place(self, engine: Engine) -> Path:
        """The folder of an engine: by GPU, TensorRT and ONNX Runtime, graph, features, profile and precision."""
        machine = f"{gpu_name()}-tensorrt-{tensorrt_version()}-onnxruntime-{onnxruntime.__version__}"
        shapes = engine.shapes
        profile = f"{shapes.width_px}x{shapes.height_px}x{shapes.buckets[-1]}"
        name = f"{engine.graph_hash[:16]}-{engine.features}-{profile}-{engine.precision}"
        return self.folder / _file_name(machine) / _file_name(name)

    def holds(self, engine: Engine) -> bool:
        """Whether it has been compiled; whether it is whole, only loading it tells."""
        return any(self.place(engine).glob("*.engine"))

    def discard(self, engine: Engine) -> None:
        """Remove what is there of it."""
        for each in self.place(engine).iterdir():
            if each.name != LOCK:
                shutil.rmtree(each) if each.is_dir() else each.unlink()

    @contextmanager
    def locked(self, engine: Engine) -> Iterator[None]:
        """Wait until no other process loads or compiles it, and keep others waiting meanwhile. Its place is there."""
        with (self.place(engine) / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


LOCK = "lock"


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
