"""TensorRT's engines: one for each size of frame, found again, compiled anew where one is damaged."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest

from softpatch.network import engines
from softpatch.network.embed import OnnxEmbedder, ProviderUnavailable
from softpatch.network.engines import Engine, EngineCache
from softpatch.network.graph import lite0
from softpatch.network.libraries import NO_GPU, gpu_name, tensorrt_version
from softpatch.network.providers import FrameShapes
from tests.softpatch.network.gpu_sessions import OfTensorrt, gpu_session

if TYPE_CHECKING:
    import ctypes
    from collections.abc import Iterator
    from pathlib import Path

SHAPES = FrameShapes(64, 64, max_frames=6)
ENGINE = Engine("0" * 64, "wide", SHAPES, "fp16")


class Heard:
    """The engines that were compiled, and why one was not."""

    def __init__(self) -> None:
        self.compiled: list[str] = []
        self.failures: list[str] = []

    @contextmanager
    def compiling(self, engine: Engine) -> Iterator[None]:
        """See Compiling."""
        try:
            yield
        except Exception as error:
            self.failures.append(str(error))
            raise
        self.compiled.append(str(engine))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """TensorRT is here."""
    gpu_session(monkeypatch, OfTensorrt)
    return Heard()


def opened(folder: Path, heard: Heard) -> OnnxEmbedder:
    """By a process that starts."""
    cache = EngineCache(folder, heard.compiling)
    return OnnxEmbedder.open(lite0(), features="wide", threads=1, shapes=SHAPES, engines=cache)


def frames(count: int, *, side_px: int = 64) -> np.ndarray:
    """Noise."""
    return np.random.default_rng(count).integers(0, 256, (count, side_px, side_px, 3), np.uint8)


def test_every_size_of_frame_has_an_engine_of_its_own_once(tmp_path: Path, heard: Heard) -> None:
    """Compiled when the first frames of a size come; the next process finds them all."""
    for _ in range(2):
        embedder = opened(tmp_path, heard)
        assert (embedder.provider, embedder.precision) == ("tensorrt", "fp16")
        for side_px in (96, 64, 96):
            embedder.embed(frames(2, side_px=side_px))
        embedder.with_features("fine").embed(frames(1))
    assert heard.compiled == [
        "wide of 64x64 px, up to 6 frames, fp16",
        "wide of 96x96 px, up to 6 frames, fp16",
        "fine of 64x64 px, up to 6 frames, fp16",
    ]


def test_large_frames_have_an_engine_for_each_kind_of_tile(tmp_path: Path, heard: Heard) -> None:
    """Known beforehand, so that they can be compiled beforehand; a tile goes alone."""
    embedder = opened(tmp_path, heard)
    embedder.prepare(64, 96)
    assert heard.compiled[1:] == ["wide of 96x64 px, up to 6 frames, fp16"]
    assert embedder._shapes_of(1536, 2048) == [FrameShapes(1024, 1280, 1)]
    assert embedder._shapes_of(1280, 1280) == [FrameShapes(1280, 1280, 6)]


def test_a_damaged_engine_is_compiled_again(tmp_path: Path, heard: Heard) -> None:
    """A process was killed while it was written; nothing goes on with the CPU."""
    opened(tmp_path, heard)
    (engine,) = tmp_path.rglob("*.engine")
    engine.write_bytes(b"who")
    assert opened(tmp_path, heard).provider == "tensorrt"
    assert engine.read_bytes() == b"whole"
    assert len(heard.compiled) == 2


def test_one_that_does_not_compile_leaves_nothing_behind(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason reaches whoever hears of it and whoever wanted it; nobody is given the CPU."""
    embedder = opened(tmp_path, heard)

    class OutOfMemory(OfTensorrt):
        def run_with_iobinding(self, *_: object) -> None:
            raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(onnxruntime, "InferenceSession", OutOfMemory)
    with pytest.raises(ProviderUnavailable, match="tensorrt: CUDA failure 2: out of memory"):
        embedder.embed(frames(1, side_px=96))
    assert heard.failures == ["CUDA failure 2: out of memory"]
    assert len(list(tmp_path.rglob("*.engine"))) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, heard: Heard) -> None:
    """As it is in a container without a volume for it."""
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "engines"
    embedder = opened(folder, heard)
    assert (embedder.provider, embedder.tried[0].outcome) == (
        "cuda",
        f"its engines cannot be kept in {folder}: Not a directory",
    )


def test_auto_compiles_nothing_where_no_engine_could_be_kept(heard: Heard) -> None:
    """Else every start would compile for minutes; who names TensorRT has it."""
    embedder = OnnxEmbedder.open(lite0(), features="wide", threads=1, shapes=SHAPES)
    assert [each.provider for each in embedder.tried] == ["cuda"]
    named = OnnxEmbedder.open(lite0(), features="wide", provider="tensorrt", threads=1, shapes=SHAPES)
    assert named.provider == "tensorrt"
    assert heard.compiled == []


@pytest.mark.parametrize(("count", "runs"), [(1, [1]), (3, [4]), (5, [6]), (6, [6]), (8, [6, 4]), (13, [6, 6, 1])])
def test_a_batch_is_filled_up(tmp_path: Path, heard: Heard, count: int, runs: list[int]) -> None:
    """To numbers of frames that the session has proven itself with; what it is filled up with is not given back."""
    embedder = opened(tmp_path, heard)
    session = embedder.session(SHAPES)
    assert session.batches == [1, 4, 6]
    session.batches.clear()
    embeddings = embedder.embed(frames(count))
    assert session.batches == runs
    own = OnnxEmbedder.open(lite0(), provider="cpu", features="wide", threads=1).embed(frames(count))
    np.testing.assert_allclose(embeddings, own, atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [
        Engine("1" * 64, "wide", SHAPES, "fp16"),
        Engine("0" * 64, "fine", SHAPES, "fp16"),
        Engine("0" * 64, "wide", FrameShapes(64, 96, 6), "fp16"),
        Engine("0" * 64, "wide", FrameShapes(64, 64, 7), "fp16"),
        Engine("0" * 64, "wide", SHAPES, "fp32"),
    ],
)
def test_an_engine_lies_by_what_it_was_compiled_of(tmp_path: Path, heard: Heard, other: Engine) -> None:
    """Graph, features, profile and precision; a stale one is never found."""
    cache = EngineCache(tmp_path, heard.compiling)
    assert cache.place(other) != cache.place(ENGINE)
    assert cache.place(other).parent == cache.place(ENGINE).parent


@pytest.mark.parametrize("what", ["gpu_name", "tensorrt_version"])
def test_an_engine_lies_by_what_it_was_compiled_for(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Another GPU, another TensorRT."""
    cache = EngineCache(tmp_path, heard.compiling)
    before = cache.place(ENGINE)
    monkeypatch.setattr(engines, what, lambda: "NVIDIA H200/another one")
    assert cache.place(ENGINE).parent != before.parent
    assert cache.place(ENGINE).parent.parent == tmp_path


def test_a_second_process_waits_for_the_first_one_s_engine(tmp_path: Path) -> None:
    """Two would compile the same for minutes, into the same files."""
    cache, entered = EngineCache(tmp_path), Event()
    cache.place(ENGINE).mkdir(parents=True)

    def second() -> None:
        with cache.locked(ENGINE):
            entered.set()

    with cache.locked(ENGINE):
        waiting = Thread(target=second)
        waiting.start()
        assert not entered.wait(0.2)
    waiting.join(10)
    assert entered.is_set()


class Driver:
    """libcuda, as far as it is asked."""

    def __init__(self, *, started: int = 0) -> None:
        self.started = started

    def cuInit(self, _flags: int) -> int:  # noqa: N802 -- CUDA's name
        """0: it went well."""
        return self.started

    def cuDeviceGet(self, _device: object, _ordinal: int) -> int:  # noqa: N802
        """The first one."""
        return 0

    def cuDeviceGetName(self, name: ctypes.Array[ctypes.c_char], _length: int, _device: object) -> int:  # noqa: N802
        """What it is called."""
        name.value = b"NVIDIA L4"
        return 0


def no_library(name: str) -> None:
    """As the loader says it."""
    raise OSError(f"{name}: cannot open shared object file")


def test_the_gpu_is_called_as_the_driver_calls_it() -> None:
    """Where there is no driver, or none that starts, there is no GPU."""
    assert gpu_name(lambda _: Driver()) == "NVIDIA L4"
    assert gpu_name(lambda _: Driver(started=100)) == NO_GPU
    assert gpu_name(no_library) == NO_GPU
    assert tensorrt_version(no_library) == "none"
