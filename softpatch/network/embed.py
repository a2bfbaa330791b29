"""Frames to patch embeddings through one ONNX graph, on the best execution provider that proves itself on a frame."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import onnxruntime
from jaxtyping import Float32, UInt8

from softpatch.network.graph import INPUT, FeatureSet, Graph
from softpatch.network.tiles import Tile, tiles_of
from softpatch.threads import available_cores

Provider = Literal["tensorrt", "cuda", "cpu"]
Precision = Literal["fp32", "fp16"]

ORT_NAMES: Mapping[Provider, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
AUTO: tuple[Provider, ...] = ("tensorrt", "cuda", "cpu")
PRECISIONS: Mapping[Provider, Precision] = {"tensorrt": "fp16", "cuda": "fp32", "cpu": "fp32"}
RUNS = "runs"
ONLY_FATAL = 4  # onnxruntime prints what it then reports as an error; `Attempt.outcome` carries it instead


@runtime_checkable
class Embedder(Protocol):
    """Frames to patch embeddings. A bank fits an embedder of the same graph hash only."""

    @property
    def graph_hash(self) -> str:
        """sha256 of the graph, in hex."""
        ...

    @property
    def features(self) -> str:
        """Which of the graph's feature sets it gives."""
        ...

    @property
    def feature_sets(self) -> Mapping[str, FeatureSet]:
        """All that the graph has, the default first."""
        ...

    @property
    def input_multiple_px(self) -> int:
        """What the sides of a frame have to be multiples of."""
        ...

    def with_features(self, features: str) -> "Embedder":
        """One that gives another feature set of the same graph. Raises UnknownFeatures."""
        ...

    @property
    def provider(self) -> str:
        """What it runs on: `tensorrt`, `cuda` or `cpu`."""
        ...

    @property
    def precision(self) -> Precision:
        """What it computes in: it decides how far scores may differ from the bank's."""
        ...

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """One embedding per patch, a square of the feature set's stride; RGB, sides multiples of the graph's."""
        ...


@dataclass(frozen=True)
class Attempt:
    """The result of trying a provider: `runs`, or why not."""

    provider: Provider
    outcome: str


class ProviderUnavailable(RuntimeError):
    """None of the providers tried runs a frame here."""

    def __init__(self, tried: tuple[Attempt, ...]) -> None:
        reasons = "; ".join(f"{attempt.provider}: {attempt.outcome}" for attempt in tried)
        super().__init__(f"no execution provider runs the graph ({reasons}); set provider to auto or cpu")
        self.tried = tried


@dataclass(frozen=True)
class FrameShapes:
    """The inputs to expect: the height and width of every frame, and the most frames at once (TensorRT's profile)."""

    height_px: int = 224
    width_px: int = 224
    max_frames: int = 16


class UnknownFeatures(ValueError):
    """The graph has no such feature set; the message names those it has."""

    def __init__(self, features: str, graph: Graph) -> None:
        known = ", ".join(graph.features)
        super().__init__(f"{graph.name} has no features {features!r}; it has {known}")


@dataclass(frozen=True)
class OnnxEmbedder:
    """An ONNX Runtime session that has embedded a frame; `tried` has the result of each provider.

    On the CPU every frame is a run of its own, on one of `threads` workers: at 224 px that takes 4.7 ms of one core,
    in a batch of 16 it takes 6.6 (out of cache), and two cores on one frame help only with spinning threads, which burn
    the cores that Kafka needs. On a GPU the frames go as one batch. Frames above `tiles.MOST_PX` go in overlapping
    tiles, which lie alike in every frame of a size.
    """

    graph: Graph
    features: str
    provider: Provider
    tried: tuple[Attempt, ...]
    _session: Any
    _workers: ThreadPoolExecutor
    _shapes: FrameShapes
    _engine_cache: Path | None
    _siblings: dict[str, "OnnxEmbedder"] = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls,
        graph: Graph,
        *,
        features: str | None = None,
        provider: Provider | Literal["auto"] = "auto",
        threads: int | None = None,
        shapes: FrameShapes | None = None,
        engine_cache: Path | None = None,
    ) -> "OnnxEmbedder":
        """The first provider that really runs a frame: `auto` asks TensorRT, CUDA and CPU, in this order.

        `features` is the feature set to give (default: the graph's first), `threads` the number of frames embedded at
        once on the CPU (default: the cores of this process).

        Raises:
            ProviderUnavailable: with every provider tried and its result.
            UnknownFeatures: the graph has no such feature set.
        """
        workers = ThreadPoolExecutor(threads or available_cores(), "embed")
        wanted = AUTO if provider == "auto" else (provider,)
        return _opened(
            graph,
            features or graph.default_features,
            wanted,
            workers=workers,
            shapes=shapes,
            engine_cache=engine_cache,
        )

    def with_features(self, features: str) -> "OnnxEmbedder":
        """See Embedder; on the same provider and with the same threads. Each feature set is a session of its own."""
        if features == self.features:
            return self
        if features not in self._siblings:
            opened = _opened(
                self.graph,
                features,
                (self.provider,),
                workers=self._workers,
                shapes=self._shapes,
                engine_cache=self._engine_cache,
            )
            self._siblings[features] = replace(opened, tried=self.tried, _siblings=self._siblings)
            self._siblings[self.features] = self
        return self._siblings[features]

    @property
    def graph_hash(self) -> str:
        """See Embedder."""
        return self.graph.hash

    @property
    def feature_sets(self) -> Mapping[str, FeatureSet]:
        """See Embedder."""
        return self.graph.features

    @property
    def input_multiple_px(self) -> int:
        """See Embedder."""
        return self.graph.input_multiple_px

    @property
    def precision(self) -> Precision:
        """See Embedder."""
        return PRECISIONS[self.provider]

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """See Embedder.

        Raises:
            ValueError: the sides are not multiples of what the graph takes.
        """
        count, height, width, _ = frames.shape
        multiple, features = self.graph.input_multiple_px, self.graph.features[self.features]
        if height % multiple or width % multiple:
            raise ValueError(f"frames of {width}x{height} px; the graph takes multiples of {multiple}")
        if len(tiles := tiles_of(height, width, multiple_px=multiple)) > 1:
            return self._embed_tiles(frames, tiles)
        if self.provider != "cpu" and count:
            return _run_bound(self._session, self.features, frames)
        grid = height // features.stride_px, width // features.stride_px
        embeddings = np.empty((count, *grid, features.dimension), np.float32)

        def embed_one(i: int) -> None:
            embeddings[i] = _run(self._session, self.features, frames[i : i + 1])[0]

        list(self._workers.map(embed_one, range(count)))
        return embeddings

    def _embed_tiles(
        self, frames: UInt8[np.ndarray, "n h w 3"], tiles: Sequence[Tile]
    ) -> Float32[np.ndarray, "n p q d"]:
        """As `embed`, a tile at a time on each worker or on the GPU: what a run needs in memory is bounded."""
        count, height, width, _ = frames.shape
        features = self.graph.features[self.features]
        stride = features.stride_px
        embeddings = np.empty((count, height // stride, width // stride, features.dimension), np.float32)

        def embed_tile(place: tuple[int, Tile]) -> None:
            i, tile = place
            pixels = np.ascontiguousarray(frames[i : i + 1, tile.rows.seen(), tile.columns.seen()])
            run = _run if self.provider == "cpu" else _run_bound
            own = run(self._session, self.features, pixels)[0, tile.rows.own(stride), tile.columns.own(stride)]
            embeddings[i, tile.rows.target(stride), tile.columns.target(stride)] = own

        workers = self._workers.map if self.provider == "cpu" else map
        list(workers(embed_tile, [(i, tile) for i in range(count) for tile in tiles]))
        return embeddings


def _opened(
    graph: Graph,
    features: str,
    providers: Sequence[Provider],
    *,
    workers: ThreadPoolExecutor,
    shapes: FrameShapes | None,
    engine_cache: Path | None,
) -> OnnxEmbedder:
    if features not in graph.features:
        raise UnknownFeatures(features, graph)
    shapes = shapes or FrameShapes()
    tried: list[Attempt] = []
    for candidate in providers:
        session = _proven_session(graph, features, candidate, shapes, engine_cache)
        tried.append(Attempt(candidate, session if isinstance(session, str) else RUNS))
        if not isinstance(session, str):
            return OnnxEmbedder(graph, features, candidate, tuple(tried), session, workers, shapes, engine_cache)
    raise ProviderUnavailable(tuple(tried))


def _proven_session(
    graph: Graph, features: str, provider: Provider, shapes: FrameShapes, engine_cache: Path | None
) -> Any | str:  # noqa: ANN401 - onnxruntime has no types
    """A session that has run a frame on this provider, or the reason why there is none."""
    if ORT_NAMES[provider] not in onnxruntime.get_available_providers():
        return f"this onnxruntime {onnxruntime.__version__} is built without it"
    try:
        session = onnxruntime.InferenceSession(
            graph.model_of(features),
            _session_options(provider),
            providers=[ORT_NAMES[provider]],
            provider_options=[_provider_options(graph, features, provider, shapes, engine_cache)],
        )
        if session.get_providers()[0] != ORT_NAMES[provider]:  # onnxruntime falls back by itself, and only logs it
            return "onnxruntime could not load it (driver or libraries missing) and fell back to the CPU"
        given = _run(session, features, np.zeros((1, shapes.height_px, shapes.width_px, 3), np.uint8)).shape
    except Exception as error:  # noqa: BLE001 - onnxruntime raises a type of its own per status, all direct children of Exception
        return " ".join(str(error).split())
    stride, dimension = graph.features[features].stride_px, graph.features[features].dimension
    said = (1, shapes.height_px // stride, shapes.width_px // stride, dimension)
    return session if given == said else f"it gives embeddings {given} where the graph's metadata say {said}"


def _session_options(provider: Provider) -> Any:  # noqa: ANN401 - onnxruntime has no types
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider != "cpu":
        options.log_severity_level = ONLY_FATAL
    return options


def _provider_options(
    graph: Graph, features: str, provider: Provider, shapes: FrameShapes, engine_cache: Path | None
) -> dict[str, str]:
    if provider != "tensorrt":
        return {}
    low, high = (f"{INPUT}:{count}x{shapes.height_px}x{shapes.width_px}x3" for count in (1, shapes.max_frames))
    options = {
        "trt_fp16_enable": "1",
        "trt_profile_min_shapes": low,
        "trt_profile_opt_shapes": high,
        "trt_profile_max_shapes": high,
    }
    if engine_cache is None:
        return options
    # TensorRT puts its own version and the GPU's architecture into the file names inside.
    folder = (
        engine_cache / f"{graph.hash[:16]}-{features}-fp16-{high.split(':')[1]}-onnxruntime-{onnxruntime.__version__}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    return options | {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }


def _run(session: Any, features: str, frames: np.ndarray) -> np.ndarray:  # noqa: ANN401 - onnxruntime has no types
    return np.asarray(session.run([features], {INPUT: frames})[0])


def _run_bound(session: Any, features: str, frames: np.ndarray) -> np.ndarray:  # noqa: ANN401 - onnxruntime has no types
    """With input and output in device memory: one copy in, one copy out, none between the layers."""
    binding = session.io_binding()
    on_device = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(frames), "cuda", 0)
    binding.bind_ortvalue_input(INPUT, on_device)
    binding.bind_output(features, "cuda", 0)
    session.run_with_iobinding(binding)
    return np.asarray(binding.copy_outputs_to_cpu()[0])
