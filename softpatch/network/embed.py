"""Frames to patch embeddings through one ONNX graph, on the best execution provider that proves itself on a frame."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.network.engines import EngineCache
from softpatch.network.graph import FeatureSet, Graph
from softpatch.network.providers import FrameShapes, Precision, PrecisionChoice, Provider
from softpatch.network.running import run, run_bound
from softpatch.network.session_pool import Session, SessionPool
from softpatch.network.sessions import NOT_BUILT_IN, SessionRefused
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

    @property
    def built_in(self) -> bool:
        """Whether this ONNX Runtime knows the provider at all."""
        return not self.outcome.endswith(NOT_BUILT_IN)


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
    in a batch of 16 it takes 6.6 (out of cache). A frame that comes alone is run on all of them, by a session of its
    own whose threads sleep while they wait: awake, they would burn the cores that Kafka needs. On two cores a large
    network takes a little more than half of the time so, a small one on a small input as long as before; the same bits
    come out. On a GPU the frames go in batches, filled up to `FrameShapes.buckets`. Frames above `tiles.MOST_PX` go in
    overlapping tiles, which lie alike in every frame of a size.
    """

    graph: Graph
    features: str
    provider: Provider
    tried: tuple[Attempt, ...]
    _sessions: SessionPool
    _workers: ThreadPoolExecutor
    _threads: int

    @classmethod
    def open(
        cls,
        graph: Graph,
        *,
        features: str | None = None,
        provider: Provider | Literal["auto"] = "auto",
        precision: PrecisionChoice = "auto",
        threads: int | None = None,
        shapes: FrameShapes | None = None,
        engines: EngineCache | None = None,
    ) -> "OnnxEmbedder":
        """The first provider that really runs a frame: `auto` asks TensorRT, CUDA and CPU, in this order.

        TensorRT compiles an engine for every size of frame, which takes minutes; so `auto` asks it only where
        `engines` keeps them. `features` is the feature set to give (default: the graph's first), `threads` the number
        of frames embedded at once on the CPU (default: the cores of this process), `shapes` those that the provider
        proves itself with, and the most frames that a GPU takes at once.

        Raises:
            ProviderUnavailable: with every provider tried and its result.
            UnknownFeatures: the graph has no such feature set.
        """
        features = features or graph.default_features
        if features not in graph.features:
            raise UnknownFeatures(features, graph)
        threads = threads or available_cores()
        workers = ThreadPoolExecutor(threads, "embed")
        shapes, tried = shapes or FrameShapes(), list[Attempt]()
        unasked = AUTO[1:] if engines is None else AUTO
        wanted = unasked if provider == "auto" else (provider,)
        for candidate in wanted:
            sessions = SessionPool(graph, candidate, shapes, precision=precision, engines=engines)
            try:
                sessions.session(features)
            except SessionRefused as refused:
                tried.append(Attempt(candidate, str(refused)))
            else:
                succeeded = Attempt(candidate, RUNS)
                return cls(graph, features, candidate, (*tried, succeeded), sessions, workers, threads)
        raise ProviderUnavailable(tuple(tried))

    def with_features(self, features: str) -> "OnnxEmbedder":
        """See Embedder; on the same provider and with the same threads. Each feature set is a session of its own.

        Raises:
            ProviderUnavailable: they do not run where the others do. TensorRT tells with the first frames of a size.
        """
        if features not in self.graph.features:
            raise UnknownFeatures(features, self.graph)
        other = replace(self, features=features)
        if self.provider != "tensorrt":
            other.session()
        return other

    def session(self, shapes: FrameShapes | None = None) -> Session:
        """The session for frames of these shapes, proven; where it has to be opened first, that may take minutes.

        Raises:
            ProviderUnavailable: there is none for them.
        """
        try:
            return self._sessions.session(self.features, shapes)
        except SessionRefused as refused:
            raise ProviderUnavailable((Attempt(self.provider, str(refused)),)) from refused

    def prepare(self, height_px: int, width_px: int) -> None:
        """Open what frames of this size need, before they come: engines of TensorRT are compiled in minutes.

        Raises:
            ProviderUnavailable: it does not run there.
        """
        for shapes in self._shapes_of(height_px, width_px):
            self.session(shapes)

    def _shapes_of(self, height_px: int, width_px: int) -> Sequence[FrameShapes]:
        """What goes through the network for frames of this size: the frames, or each kind of tile of them."""
        tiles = tiles_of(height_px, width_px, multiple_px=self.graph.input_multiple_px)
        whole = len(tiles) == 1
        return [self.shapes_of(height_px, width_px)] if whole else list(dict.fromkeys(map(tile_shapes, tiles)))

    def shapes_of(self, height_px: int, width_px: int) -> FrameShapes:
        """The runs of whole frames of this size on a GPU."""
        return replace(self._sessions.shapes, height_px=height_px, width_px=width_px)

    @property
    def shapes(self) -> FrameShapes:
        """Those it has proven itself with when it was opened."""
        return self._sessions.shapes

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
        return self._sessions.precision

    def embed(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """See Embedder.

        Raises:
            ValueError: the sides are not multiples of what the graph takes.
        """
        count, height, width, _ = frames.shape
        features = self.graph.features[self.features]
        if len(tiles := self.tiles(height, width)) > 1:
            return self._embed_tiles(frames, tiles)
        if self.provider != "cpu" and count:
            return self._in_batches(frames)
        if count == 1 and self._threads > 1:
            return run(self._sessions.session_on_cores(self.features, self._threads), self.features, frames)
        session, grid = self.session(), (height // features.stride_px, width // features.stride_px)
        embeddings = np.empty((count, *grid, features.dimension), np.float32)

        def embed_one(i: int) -> None:
            embeddings[i] = run(session, self.features, frames[i : i + 1])[0]

        list(self._workers.map(embed_one, range(count)))
        return embeddings

    def tiles(self, height_px: int, width_px: int) -> Sequence[Tile]:
        """How frames of this size go through the network: whole, as one tile, or in several.

        Raises:
            ValueError: the sides are not multiples of what the graph takes.
        """
        multiple = self.graph.input_multiple_px
        if height_px % multiple or width_px % multiple:
            raise ValueError(f"frames of {width_px}x{height_px} px; the graph takes multiples of {multiple}")
        return tiles_of(height_px, width_px, multiple_px=multiple)

    def _in_batches(self, frames: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n p q d"]:
        """On a GPU, as many at once as it has proven itself with, and never another number than that."""
        shapes = self.shapes_of(*frames.shape[1:3])
        session, embeddings, first = self.session(shapes), [], 0
        for count in shapes.runs(len(frames)):
            batch = _filled(frames[first : first + count], count)
            embeddings.append(run_bound(session, self.features, batch))
            first += count
        return np.concatenate(embeddings)[: len(frames)]

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
            session = self.session(tile_shapes(tile))
            own = run_tile(session, self.features, pixels)[0, tile.rows.own(stride), tile.columns.own(stride)]
            embeddings[i, tile.rows.target(stride), tile.columns.target(stride)] = own

        workers = self._workers.map if self.provider == "cpu" else map
        list(workers(embed_tile, [(i, tile) for i in range(count) for tile in tiles]))
        return embeddings


def tile_shapes(tile: Tile) -> FrameShapes:
    """The runs of one tile: one at a time."""
    height, width = (span.stop - span.start for span in (tile.rows, tile.columns))
    return FrameShapes(height, width, max_frames=1)


def _filled(frames: UInt8[np.ndarray, "n h w 3"], count: int) -> UInt8[np.ndarray, "count h w 3"]:
    """Black frames behind them."""
    return np.concatenate([frames, np.zeros((count - len(frames), *frames.shape[1:]), np.uint8)])
