"""`patchline bench --against-published`: our pipeline and the published one on the same frames, weights and cores.

Both build a bank by the paper's settings from frames shaped beforehand, then score frames one at a time, five in turn.
Without calibration, gate and probes, which the published pipeline has not. Needs the extras export and evaluate.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from deploy.bench import published
from deploy.bench.frames import drawn_frames
from deploy.bench.machine import machine
from deploy.errors import UsageError
from deploy.evaluation.methods.methods import PAPER
from softpatch.building.embedding_buffer import buffer_for
from softpatch.building.fit import fit
from softpatch.building.window import BATCH_FRAMES
from softpatch.images.geometry import FrameGeometry
from softpatch.scoring.bounded_search import cpu_search
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.output.progress import ProgressDisplay
    from ingest.cameras.source import CameraFrame
    from softpatch.network.embed import OnnxEmbedder

LEARNT_FRAMES, SCORED_FRAMES = 100, 20
PUBLISHED_BATCH_FRAMES = 8
MOST_DIFFERENCE = 0.1
"""Of embeddings by the same weights: 1e-6 in fp32, 0.014 in 8-bit integers."""

_EXPORT = "export that with --random-weights (docs/performance.md), and name the graph with --set runtime.backbone=FILE"

TURN_FRAMES = 5
"""One after the other by one pipeline: the first finds the caches full of the other's."""


@dataclass(frozen=True)
class BuildSeconds:
    """Of one build: network, LOF, and the coreset with its weights."""

    embedding: float
    lof: float
    coreset: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.embedding + self.lof + self.coreset


@dataclass(frozen=True)
class FrameSeconds:
    """Of one frame that comes alone: the medians of network and search, and of both together."""

    network: float
    search: float
    whole: float


@dataclass(frozen=True, eq=False)
class _Scored:
    """How long one frame took, and what it scored."""

    network: float
    search: float
    score: float


def compare_with_published(
    embedder: OnnxEmbedder,
    *,
    threads: int | None,
    seed: int,
    progress: ProgressDisplay,
    learnt_frames: int = LEARNT_FRAMES,
    scored_frames: int = SCORED_FRAMES,
) -> dict[str, object]:
    """Measure once, on simulated frames of 224 x 224 px; the JSON document.

    `embedding_difference` is the largest distance of a patch of the frames scored by the graph from the same patch by
    the published steps, in shares of its length.

    Raises:
        UsageError: the graph is of another network, or has other weights.
    """
    if not embedder.graph.name.startswith(published.NETWORK):  # in integers, too
        raise UsageError(f"the published pipeline runs {published.NETWORK}, not {embedder.graph.name}: {_EXPORT}")
    measured_on = machine()
    with progress.step(f"Drawing {learnt_frames + scored_frames} frames"):
        frames = _shaped(drawn_frames(seed, learnt_frames + scored_frames))
    window, alone = frames[:learnt_frames], frames[learnt_frames:]
    ours, theirs = _Ours(embedder, threads), _Published(threads or available_cores())
    difference = max(_difference(ours.embed(frame), theirs.embed(frame)) for frame in alone)
    if difference > MOST_DIFFERENCE:
        raise UsageError(f"the graph's embeddings differ by {difference:.0%} from the published ones: {_EXPORT}")
    with progress.step("Each builds once, uncounted"):  # compiles, loads libraries, and is given its memory
        for pipeline in (ours, theirs):
            pipeline.learn(window)
    with progress.step("Patchline: the build"):
        our_build = ours.learn(window)
    with progress.step("As published: the build"):
        their_build = theirs.learn(window)
    with progress.step("One frame at a time, five in turn"):
        for pipeline in (ours, theirs):
            pipeline.score(alone[0])
        turns = [alone[start : start + TURN_FRAMES] for start in range(0, len(alone), TURN_FRAMES)]
        both = [([ours.score(frame) for frame in turn], [theirs.score(frame) for frame in turn]) for turn in turns]
    our_frames, their_frames = ([each for turn in side for each in turn] for side in zip(*both, strict=True))
    scores = np.array([[each.score for each in side] for side in (our_frames, their_frames)])
    return {
        "machine": measured_on,
        "graph": embedder.graph.name,
        "provider": embedder.provider,
        "threads": threads or available_cores(),
        "input_px": [window.shape[2], window.shape[1]],
        "frames": len(window),
        "bank": list(theirs.bank_shape),
        "frames_alone": len(alone),
        "embedding_difference": difference,
        "score_correlation": float(np.corrcoef(scores)[0, 1]),
        "patchline": _figures(our_build, our_frames),
        "published": _figures(their_build, their_frames),
    }


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    lengths = np.linalg.norm(theirs, axis=-1)
    return float((np.linalg.norm(ours - theirs, axis=-1) / lengths).max())


def _shaped(frames: Sequence[CameraFrame]) -> np.ndarray:
    """The network's input of each frame, uint8 "n h w 3"."""
    geometry = FrameGeometry(bit_depth=None)
    return np.stack([geometry.apply(geometry.decode(frame.encoded, max_pixels=None)) for frame in frames])


class _Ours:
    """Patchline by the paper's settings, with a bank of the published size."""

    def __init__(self, embedder: OnnxEmbedder, threads: int | None) -> None:
        self._embedder, self._threads = embedder, threads

    def learn(self, window: np.ndarray) -> BuildSeconds:
        features = self._embedder.feature_sets[self._embedder.features]
        rows, columns = (side // features.stride_px for side in window.shape[1:3])
        cap = round(published.CORESET_RATIO * len(window) * rows * columns)
        settings = PAPER.model_copy(update={"coreset_ratio": 1.0, "coreset_cap": cap})
        begun = time.perf_counter()
        buffer = buffer_for(len(window), (rows, columns, features.dimension))
        for start in range(0, len(window), BATCH_FRAMES):
            buffer.append(self._embedder.embed(window[start : start + BATCH_FRAMES]))
        marks = {"embed": time.perf_counter()}

        def reported(stage: str, _done: int, _total: int) -> None:
            marks.setdefault(stage, time.perf_counter())

        with ThreadPoolExecutor(self._threads or available_cores(), "build") as pool:
            fitted = fit(buffer, settings, pool, progress=reported)
        self._scorer = fitted.bank.scorer(lambda vectors: cpu_search(vectors, threads=self._threads))
        ended = time.perf_counter()
        return BuildSeconds(marks["embed"] - begun, marks["subsample"] - marks["embed"], ended - marks["subsample"])

    def score(self, frame: np.ndarray) -> _Scored:
        begun = time.perf_counter()
        embedded = self.embed(frame)
        between = time.perf_counter()
        score = self._scorer.score(embedded[None])[0].score
        return _Scored(between - begun, time.perf_counter() - between, score)

    def embed(self, frame: np.ndarray) -> np.ndarray:
        return np.asarray(self._embedder.embed(frame[None])[0])


class _Published:
    """The published pipeline, on as many threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._network = published.PublishedNetwork(threads)
        self.bank_shape = (0, 0)

    def learn(self, window: np.ndarray) -> BuildSeconds:
        begun = time.perf_counter()
        batches = range(0, len(window), PUBLISHED_BATCH_FRAMES)
        parts = [self._network.embed(window[start : start + PUBLISHED_BATCH_FRAMES]) for start in batches]
        embedded = np.concatenate(parts)
        network_done = time.perf_counter()
        factors = published.lof_factors(embedded, seed=0)
        lof_done = time.perf_counter()
        bank = published.published_bank(embedded, factors, seed=1)
        self._scorer, self.bank_shape = published.PublishedScorer(bank, self._threads), bank.vectors.shape
        return BuildSeconds(network_done - begun, lof_done - network_done, time.perf_counter() - lof_done)

    def score(self, frame: np.ndarray) -> _Scored:
        begun = time.perf_counter()
        embedded = self.embed(frame)
        between = time.perf_counter()
        score = float(self._scorer.patch_scores(embedded).max())
        return _Scored(between - begun, time.perf_counter() - between, score)

    def embed(self, frame: np.ndarray) -> np.ndarray:
        return np.asarray(self._network.embed(frame[None])[0])


def _figures(build: BuildSeconds, frames: Sequence[_Scored]) -> dict[str, object]:
    alone = FrameSeconds(
        median(each.network for each in frames),
        median(each.search for each in frames),
        median(each.network + each.search for each in frames),
    )
    return {"build_seconds": asdict(build) | {"whole": build.whole}, "frame_seconds": asdict(alone)}
