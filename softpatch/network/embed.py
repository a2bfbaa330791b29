"""Frames to patch embeddings through one ONNX graph, on the best execution provider that proves itself on a frame."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.network.graph import FeatureSet, Graph
from softpatch.network.sessions import PRECISIONS, FrameShapes, Precision, Provider, proven_session, run, run_bound
from softpatch.network.tiles import Tile, tiles_of
from softpatch.threads import available_cores

AUTO: tuple[Provider, ...] = ("tensorrt", "cuda", "cpu")
RUNS = "runs"


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
            return self._in_batches(frames)
        grid = height // features.stride_px, width // features.stride_px
        embeddings = np.empty((count, *grid, features.dimension), np.float32)

        def embed_one(i: int) -> None:
            embeddings[i] = run(self._session, self.features, frames[i : i + 1])[0]

        list(self._workers.map(embed_one, range(count)))
        return embeddings

    def _in_batches(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """On a GPU, as many at once as it has proven itself with."""
        most = self._shapes.max_frames
        batches = [frames[i : i + most] for i in range(0, len(frames), most)]
        return np.concatenate([run_bound(self._session, self.features, batch) for batch in batches])

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
            run_tile = run if self.provider == "cpu" else run_bound
            own = run_tile(self._session, self.features, pixels)[0, tile.rows.own(stride), tile.columns.own(stride)]
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
        session = proven_session(graph, features, candidate, shapes, engine_cache)
        tried.append(Attempt(candidate, session if isinstance(session, str) else RUNS))
        if not isinstance(session, str):
            return OnnxEmbedder(graph, features, candidate, tuple(tried), session, workers, shapes, engine_cache)
    raise ProviderUnavailable(tuple(tried))
