"""`patchline bench --against-published`: our pipeline and the published one on the same frames, network and cores.

Both build a bank by the paper's settings from frames shaped beforehand, then score frames one at a time, in turns.
Without calibration, gate and probes, which the published pipeline has not.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from deploy.bench.frames import drawn_frames
from deploy.bench.machine import machine
from deploy.bench.published import CORESET_RATIO, PublishedScorer, lof_factors, published_bank
from deploy.evaluation.methods.methods import PAPER
from softpatch.building.embedding_buffer import buffer_for
from softpatch.building.fit import fit
from softpatch.building.window import BATCH_FRAMES
from softpatch.images.geometry import FrameGeometry
from softpatch.network.graph import INPUT
from softpatch.scoring.bounded_search import cpu_search
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deploy.output.progress import ProgressDisplay
    from ingest.cameras.source import CameraFrame
    from softpatch.network.embed import OnnxEmbedder

LEARNT_FRAMES, SCORED_FRAMES = 100, 20
PUBLISHED_BATCH_FRAMES = 8


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
    """Measure once, on simulated frames of 224 x 224 px; the JSON document."""
    measured_on = machine()
    with progress.step(f"Drawing {learnt_frames + scored_frames} frames"):
        frames = _shaped(drawn_frames(seed, learnt_frames + scored_frames))
    window, alone = frames[:learnt_frames], frames[learnt_frames:]
    ours, theirs = _Ours(embedder, threads), _Published(embedder, threads)
    ours.learn(window[:PUBLISHED_BATCH_FRAMES])  # compiles; does not count
    with progress.step("Patchline: the build"):
        our_build = ours.learn(window)
    with progress.step("As published: the build"):
        their_build = theirs.learn(window)
    with progress.step("One frame at a time, in turns"):
        turns = [(ours.score(frame), theirs.score(frame)) for frame in (alone[0], *alone)][1:]
    scores = np.array([[our.score, their.score] for our, their in turns])
    return {
        "machine": measured_on,
        "graph": embedder.graph.name,
        "provider": embedder.provider,
        "threads": threads or available_cores(),
        "input_px": [window.shape[2], window.shape[1]],
        "frames": len(window),
        "bank": list(theirs.bank_shape),
        "frames_alone": len(alone),
        "score_correlation": float(np.corrcoef(scores.T)[0, 1]),
        "patchline": _figures(our_build, [our for our, _ in turns]),
        "published": _figures(their_build, [their for _, their in turns]),
    }


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
        cap = round(CORESET_RATIO * len(window) * rows * columns)
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
        embedded = self._embedder.embed(frame[None])
        between = time.perf_counter()
        score = self._scorer.score(embedded)[0].score
        return _Scored(between - begun, time.perf_counter() - between, score)


class _Published:
    """The published pipeline on the same graph, run by ONNX Runtime on all cores at once."""

    def __init__(self, embedder: OnnxEmbedder, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        model = embedder.graph.model_of(embedder.features)
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._features = embedder.features
        self.bank_shape = (0, 0)

    def learn(self, window: np.ndarray) -> BuildSeconds:
        begun = time.perf_counter()
        batches = range(0, len(window), PUBLISHED_BATCH_FRAMES)
        embedded = np.concatenate([self._embed(window[start : start + PUBLISHED_BATCH_FRAMES]) for start in batches])
        network_done = time.perf_counter()
        factors = lof_factors(embedded)
        lof_done = time.perf_counter()
        bank = published_bank(embedded, factors, seed=0)
        self._scorer, self.bank_shape = PublishedScorer(bank), bank.vectors.shape
        return BuildSeconds(network_done - begun, lof_done - network_done, time.perf_counter() - lof_done)

    def score(self, frame: np.ndarray) -> _Scored:
        begun = time.perf_counter()
        embedded = self._embed(frame[None])[0]
        between = time.perf_counter()
        score = float(self._scorer.patch_scores(embedded).max())
        return _Scored(between - begun, time.perf_counter() - between, score)

    def _embed(self, frames: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run([self._features], {INPUT: frames})[0])


def _figures(build: BuildSeconds, frames: Sequence[_Scored]) -> dict[str, object]:
    alone = FrameSeconds(
        median(each.network for each in frames),
        median(each.search for each in frames),
        median(each.network + each.search for each in frames),
    )
    return {"build_seconds": asdict(build) | {"whole": build.whole}, "frame_seconds": asdict(alone)}
