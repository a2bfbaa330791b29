"""`patchline evaluate --calibration`: asked against observed false rejects, on folders and on a simulated line."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError
from rich.console import Console

from deploy.errors import UsageError
from deploy.evaluation.results.calibration_rows import (
    FOLDS,
    CalibrationRow,
    Fold,
    Places,
    built,
    folds_of,
    rows_of,
)
from deploy.evaluation.simulated_line import CHUNK_FRAMES, SimulatedLine
from softpatch.building.embedding_buffer import buffer_for
from softpatch.settings import BuildSettings
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from deploy.evaluation.embedding_cache import EmbeddingCache
    from deploy.evaluation.results.calibration_rows import CalibratedBank, CalibrationKey
    from deploy.evaluation.study import Category
    from ingest.cameras.parts import Variant
    from softpatch.images.folders import LabelledImage
    from softpatch.scoring.score import Scorer

ROWS = "calibration.jsonl"
MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class EvaluatedLine:
    """How much of a simulated line is looked at: a window, then good frames, and defective ones for recall.

    `every` thins the good frames out by whole chunks of 250: as much time passes, and fewer frames are drawn.
    """

    window: int = 1000
    good: int = 10_000
    defective: int = 500
    every: int = 1

    @property
    def following(self) -> list[range]:
        """The good frames that are tested."""
        end, step = self.window + self.good, CHUNK_FRAMES * self.every
        return [range(begin, min(begin + CHUNK_FRAMES, end)) for begin in range(self.window, end, step)]


@dataclass(frozen=True)
class CalibrationRequest:
    """What `patchline evaluate --calibration` is to measure, and where it is kept."""

    categories: tuple[Category, ...]
    simulated: tuple[Variant, ...]
    noises: tuple[float, ...]
    seeds: tuple[int, ...]
    out: Path
    in_time: bool = False
    line: EvaluatedLine = field(default_factory=EvaluatedLine)


def run_calibration(request: CalibrationRequest, cache: EmbeddingCache, backbone: str) -> list[CalibrationRow]:
    """Measure what the ledger lacks; each experiment's rows are in it before the next begins. All rows it then has."""
    say = Console(stderr=True).print
    for key, folds in _left(request, cache, backbone):
        rows = rows_of(list(folds), key)
        append(request.out / ROWS, rows)
        said = ", ".join(f"{r.asked_false_reject_ratio:.0%}: {r.observed_false_reject_ratio:.1%}" for r in rows)
        say(f"{key[1]} {key[3]} noise {key[4]:g} seed {key[5]}: {said}")
    return read_rows(request.out / ROWS)


def _left(
    request: CalibrationRequest, cache: EmbeddingCache, backbone: str
) -> Iterator[tuple[CalibrationKey, Iterable[Fold]]]:
    """Experiments that are not in the ledger, each with its folds yet to be run."""
    done = {row.key for row in read_rows(request.out / ROWS)}
    for seed, noise in product(request.seeds, request.noises):
        for category in request.categories:
            order = "time" if request.in_time else "shuffled"
            key = (category.dataset, category.name, backbone, order, noise, seed)
            if key not in done:
                yield key, _category_folds(category, cache, key)
        for variant in request.simulated:
            key = ("simulator", variant, backbone, "time", noise, seed)
            if key not in done:
                simulated = SimulatedLine(variant, seed, cache.folder, cache.embedder, cache.geometry)
                yield key, [_simulated_fold(simulated, request.line, noise=noise)]


def _category_folds(category: Category, cache: EmbeddingCache, key: CalibrationKey) -> Iterator[Fold]:
    *_, order, noise, seed = key
    good = [image for image in category.images if image.label == "good"]
    defective = [image for image in category.images if image.label != "good"]
    if order == "time":
        split = [_in_time(good, len(defective), noise=noise, seed=seed)]
    else:
        split = folds_of(len(good), len(defective), noise=noise, folds=FOLDS, seed=seed)
    for places in split:
        window = [(*good, *defective)[place] for place in places.window]
        made = _built(cache.batches(window), len(window), seed=seed)
        yield Fold(
            made.calibration,
            _scores(made.scorer, cache.batches([good[place] for place in places.held_good])),
            _scores(made.scorer, cache.batches([defective[place] for place in places.held_defective])),
        )


def _in_time(good: Sequence[LabelledImage], defective: int, *, noise: float, seed: int) -> Places:
    """Trained on the training frames in the order of their names, tested on the others, which came later."""
    rng = np.random.default_rng((seed, 13))
    train = sorted((i for i, image in enumerate(good) if image.split == "train"), key=lambda i: good[i].path.name)
    drawn = rng.permutation(defective)
    count = round(noise * len(train))
    at = np.concatenate([np.arange(len(train)), rng.uniform(-1, len(train), count)])
    mixed = [*train, *(len(good) + drawn[:count])]
    return Places(
        window=tuple(int(mixed[i]) for i in np.argsort(at, kind="stable")),
        held_good=tuple(i for i, image in enumerate(good) if image.split != "train"),
        held_defective=tuple(drawn[count:].tolist()),
    )


def _simulated_fold(simulated: SimulatedLine, line: EvaluatedLine, *, noise: float) -> Fold:
    """A window of the line's first frames, that share of them defective; then good frames only."""
    rng = np.random.default_rng((simulated.seed, 14))
    marred = set(rng.permutation(line.window)[: round(noise * line.window)].tolist())
    made = _built(_mixed(simulated, marred, range(line.window)), line.window, seed=simulated.seed)
    return Fold(
        made.calibration,
        _scores(made.scorer, (batch for part in line.following for batch in simulated.batches("good", part))),
        _scores(made.scorer, simulated.batches("defective", range(line.window, line.window + line.defective))),
    )


def _mixed(simulated: SimulatedLine, marred: set[int], frames: range) -> Iterator[np.ndarray]:
    at = 0
    for good, defective in zip(simulated.batches("good", frames), simulated.batches("defective", frames), strict=True):
        chosen = np.array([frames[at + i] in marred for i in range(len(good))])
        at += len(good)
        yield np.where(chosen[:, None, None, None], defective, good)


def _built(batches: Iterable[np.ndarray], frames: int, *, seed: int) -> CalibratedBank:
    embeddings = None
    for batch in batches:
        if embeddings is None:
            embeddings = buffer_for(frames, batch.shape[1:], memory_bytes=MEMORY_BYTES)
        embeddings.append(batch)
    if embeddings is None:
        raise UsageError("a category without good frames cannot be calibrated on")
    with ThreadPoolExecutor(available_cores(), "build") as pool:
        return built(embeddings, frames, BuildSettings(seed=seed), pool)


def _scores(scorer: Scorer, batches: Iterable[np.ndarray]) -> np.ndarray:
    return np.array(
        [frame.score for batch in batches for part in _few(batch) for frame in scorer.score(part)], np.float32
    )


def _few(batch: np.ndarray) -> list[np.ndarray]:
    """At most 16 frames at once: distances of a whole chunk would not fit."""
    return [batch[start : start + 16] for start in range(0, len(batch), 16)]


def read_rows(path: Path) -> list[CalibrationRow]:
    """The rows measured so far. Raises UsageError for a file that is not ours."""
    if not path.exists():
        return []
    try:
        return [CalibrationRow.model_validate_json(line) for line in path.read_text().splitlines() if line]
    except ValidationError as error:
        raise UsageError(f"{path} holds other rows ({error.errors()[0]['msg']}): use another --out") from error


def append(path: Path, rows: Sequence[CalibrationRow]) -> None:
    """Add finished rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(row.model_dump_json() + "\n" for row in rows)
