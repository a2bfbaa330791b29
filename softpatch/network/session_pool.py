"""The sessions of one provider, each opened and proven when it is first needed."""

from threading import Lock
from typing import Any

from softpatch.network.engines import EngineCache
from softpatch.network.graph import Graph
from softpatch.network.providers import PRECISIONS, FrameShapes, Precision, PrecisionChoice, Provider, precision_of
from softpatch.network.sessions import proven_session, session_on_cores

Session = Any  # onnxruntime has no types


class SessionPool:
    """One session for each feature set; on TensorRT, whose engines are made for one size of frame, for each size."""

    def __init__(
        self,
        graph: Graph,
        provider: Provider,
        shapes: FrameShapes,
        *,
        precision: PrecisionChoice = "auto",
        engines: EngineCache | None = None,
    ) -> None:
        """`shapes`: of the frames to expect where nobody names a size, and the most frames of a run on a GPU."""
        self.shapes = shapes
        self._graph = graph
        self._provider = provider
        self._precision = precision
        self._engines = engines
        self._opened: dict[tuple[str, FrameShapes], Session] = {}
        self._on_cores: dict[tuple[str, int], Session] = {}
        self._opening = Lock()

    @property
    def precision(self) -> Precision:
        """What they compute in."""
        return precision_of(self._provider, self._precision, self._graph.precision) or PRECISIONS[self._provider][0]

    def session(self, features: str, shapes: FrameShapes | None = None) -> Session:
        """The session for these features and frames (default: those to expect).

        One thread at a time opens a session; those that are open can be had meanwhile.

        Raises:
            SessionRefused: it does not prove itself.
        """
        key = features, shapes if shapes is not None and self._provider == "tensorrt" else self.shapes
        if key not in self._opened:
            with self._opening:
                if key not in self._opened:
                    self._opened[key] = self._proven(*key)
        return self._opened[key]

    def session_on_cores(self, features: str, cores: int) -> Session:
        """On the CPU, the session that runs a frame on so many cores: opened at the first frame that comes alone."""
        key = features, cores
        with self._opening:
            if key not in self._on_cores:
                self._on_cores[key] = session_on_cores(self._graph, *key)
            return self._on_cores[key]

    def _proven(self, features: str, shapes: FrameShapes) -> Session:
        return proven_session(
            self._graph, features, self._provider, shapes, precision=self._precision, engines=self._engines
        )
