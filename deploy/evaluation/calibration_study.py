"""`patchline evaluate --calibration`: asked against observed false rejects, on folders and on a simulated line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from deploy.errors import UsageError
from deploy.evaluation.json_lines import append_lines, read_lines
from deploy.evaluation.methods.answered_groups import fit_answered
from deploy.evaluation.protocol.folds import fold_in_time, shuffled_folds
from deploy.evaluation.results.calibration_rows import FOLDS, CalibrationRow, FoldScores, rows_of
from deploy.evaluation.simulated_line import CHUNK_FRAMES, SimulatedLine
from deploy.evaluation.windows import at_chosen_input, training_window
from softpatch.building.calibration_blocks import calibration_blocks
from softpatch.building.cross_fit import cross_fit
from softpatch.building.embedding_buffer import buffer_for
from softpatch.building.fit import Fit, fit
from softpatch.building.position_weights import weigh_positions
from softpatch.scoring.search import FlatSearch
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deploy.evaluation.embedding_cache import EmbeddingCache
    from deploy.evaluation.results.calibration_rows import CalibrationKey
    from deploy.evaluation.study import Category
    from ingest.cameras.parts import Variant
    from softpatch.building.embedding_buffer import EmbeddingBuffer
    from softpatch.scoring.score import Scorer

ROWS = "calibration.jsonl"
AT_224_PX = "-224"
"""Behind the network's name in rows of frames at 224 x 224 px."""
MEMORY_BYTES = 2 << 30
FRAMES_AT_ONCE = 16
"""Frames scored at once: the distances of a whole chunk of 250 would not fit into memory."""


@dataclass(frozen=True)
class EvaluatedLine:
    """How much of a simulated line is evaluated: a window, then good frames, and defective ones for recall.

    `every` thins the good frames out by whole chunks: as much time passes, and fewer frames are drawn.
    """

    window: int = 1000
    good: int = 10_000
    defective: int = 500
    every: int = 1
    chunk_frames: int = CHUNK_FRAMES

    @property
    def following(self) -> list[range]:
        """The good frames that are tested."""
        end, step = self.window + self.good, self.chunk_frames * self.every
        return [range(begin, min(begin + self.chunk_frames, end)) for begin in range(self.window, end, step)]


@dataclass(frozen=True)
class CalibrationRequest:
    """What `patchline evaluate --calibration` is to measure, and where it is kept."""

    categories: tuple[Category, ...]
    simulated: tuple[Variant, ...]
    noises: tuple[float, ...]
    seeds: tuple[int, ...]
    out: Path
    in_time: bool = False
    fast: bool = False
    """Folders at 224 x 224 px as well, in place of what each window chooses; simulated lines always are."""
    line: EvaluatedLine = field(default_factory=EvaluatedLine)


def run_calibration(request: CalibrationRequest, cache: EmbeddingCache, backbone: str) -> list[CalibrationRow]:
    """Measure what the ledger lacks; each experiment's rows are in it before the next begins. All rows it then has."""
    console = Console(stderr=True)
    for key, folds in _missing_experiments(request, cache, backbone):
        rows = rows_of(list(folds), key)
        append_lines(request.out / ROWS, rows)
        ratios = ", ".join(f"{r.asked_false_reject_ratio:.0%}: {r.observed_false_reject_ratio:.1%}" for r in rows)
        console.print(f"{key[1]} {key[3]} noise {key[4]:g} seed {key[5]}: {ratios}")
    return read_lines(request.out / ROWS, CalibrationRow)


def _missing_experiments(
    request: CalibrationRequest, cache: EmbeddingCache, backbone: str
) -> Iterator[tuple[CalibrationKey, Iterable[FoldScores]]]:
    """Experiments that are not in the ledger, each with its folds, which are run when they are read."""
    done = {row.key for row in read_lines(request.out / ROWS, CalibrationRow)}
    for seed, noise in product(request.seeds, request.noises):
        for category in request.categories:
            order = "time" if request.in_time else "shuffled"
            name = backbone + AT_224_PX if request.fast else backbone
            key = (category.dataset, category.name, name, order, noise, seed)
            if key not in done:
                yield key, _category_folds(category, cache, key, fast=request.fast)
        for variant in request.simulated:
            key = ("simulator", variant, backbone + AT_224_PX, "time", noise, seed)
            if key not in done:
                line = request.line
                simulated = SimulatedLine(
                    variant, seed, cache.folder, cache.embedder, cache.geometry, line.chunk_frames
                )
                yield key, [_simulated_fold(simulated, line, noise=noise)]


def _category_folds(
    category: Category, cache: EmbeddingCache, key: CalibrationKey, *, fast: bool
) -> Iterator[FoldScores]:
    """Each fold's window is built as the product builds it, and its questions are answered by the truth."""
    *_, order, noise, seed = key
    good = [image for image in category.images if image.label == "good"]
    defective = [image for image in category.images if image.label != "good"]
    if order == "time":
        split = [fold_in_time(good, len(defective), noise=noise, seed=seed)]
    else:
        split = shuffled_folds(len(good), len(defective), noise=noise, folds=FOLDS, seed=seed)
    for fold in split:
        window = [(*good, *defective)[index] for index in fold.window]
        on_input = cache if fast else at_chosen_input(window, cache, seed=seed)
        learnt_from = training_window(window, set(defective), on_input, "overlap", seed=seed)
        with ThreadPoolExecutor(available_cores(), "build") as pool:
            fitted, _ = fit_answered(learnt_from, BuildSettings(seed=seed), pool)
        scorer, calibration = _calibrated(fitted, learnt_from.embeddings)
        yield FoldScores(
            calibration,
            _scores(scorer, on_input.batches([good[index] for index in fold.held_good])),
            _scores(scorer, on_input.batches([defective[index] for index in fold.held_defective])),
            len(window),
        )


def _simulated_fold(simulated: SimulatedLine, line: EvaluatedLine, *, noise: float) -> FoldScores:
    """A window of the line's first frames, that share of them defective; then good frames only."""
    rng = np.random.default_rng((simulated.seed, 14))
    defective = set(rng.permutation(line.window)[: round(noise * line.window)].tolist())
    window = _buffer_of(_mix_frames(simulated, defective, range(line.window)), line.window)
    settings = BuildSettings(seed=simulated.seed)
    with ThreadPoolExecutor(available_cores(), "build") as pool:
        fitted = fit(window, settings, pool, blocks=calibration_blocks(len(window), settings.calibration_blocks))
    scorer, calibration = _calibrated(fitted, window)
    return FoldScores(
        calibration,
        _scores(scorer, (batch for part in line.following for batch in simulated.batches("good", part))),
        _scores(scorer, simulated.batches("defective", range(line.window, line.window + line.defective))),
        line.window,
    )


def _mix_frames(simulated: SimulatedLine, defective: set[int], frames: range) -> Iterator[np.ndarray]:
    at = 0
    batches = zip(simulated.batches("good", frames), simulated.batches("defective", frames), strict=True)
    for good_batch, defective_batch in batches:
        chosen = np.array([frames[at + i] in defective for i in range(len(good_batch))])
        at += len(good_batch)
        yield np.where(chosen[:, None, None, None], defective_batch, good_batch)


def _buffer_of(batches: Iterable[np.ndarray], frames: int) -> EmbeddingBuffer:
    """The embeddings of a window of that many frames."""
    embeddings = None
    for batch in batches:
        if embeddings is None:
            embeddings = buffer_for(frames, batch.shape[1:], memory_bytes=MEMORY_BYTES)
        embeddings.append(batch)
    if embeddings is None:
        raise UsageError("a category without good frames cannot be calibrated on")
    return embeddings


def _calibrated(fitted: Fit, window: EmbeddingBuffer) -> tuple[Scorer, np.ndarray]:
    """A scorer against the window's bank, and the scores that a threshold is drawn from."""
    weighed, scores = weigh_positions(fitted, cross_fit(window, fitted, make_search=FlatSearch))
    return weighed.bank.scorer(FlatSearch), scores.counted(fitted.labels.not_learnt)


def _scores(scorer: Scorer, batches: Iterable[np.ndarray]) -> np.ndarray:
    parts = (
        batch[start : start + FRAMES_AT_ONCE] for batch in batches for start in range(0, len(batch), FRAMES_AT_ONCE)
    )
    return np.array([frame.score for part in parts for frame in scorer.score(part)], np.float32)
