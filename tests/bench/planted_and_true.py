"""Planted against true defects: whether what a bank finds of the ones says what it finds of the others.

`python -m tests.bench.planted_and_true DATA CACHE ROWS [SEED...]`: each line by every input that is tried for it, at
all pixels and at half of them, and by 224 px. Its bank learns a window of noise 0.1, with its questions answered;
defects are planted into the good frames of the test. One JSON line each, of shares above two quantiles of those frames'
scores; rows that the file holds are passed over. The rank correlations of all rows are printed last.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from deploy.evaluation.command import cache_of, category_of, graph_of
from deploy.evaluation.methods.answered_groups import fit_answered
from deploy.evaluation.protocol.split import split
from deploy.evaluation.windows import training_window
from softpatch.building.cross_fit import cross_fit
from softpatch.building.frame_reading import WHOLE_FRAMES
from softpatch.building.input_candidates import input_candidates, typical_size
from softpatch.building.planting import highest_scores, planted_frame
from softpatch.building.position_weights import weigh_positions
from softpatch.scoring.search import FlatSearch
from softpatch.settings import FAST, BuildSettings
from tests.bench.repeating_marks import FOLDERS, FRAMES_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deploy.evaluation.embedding_cache import EmbeddingCache
    from deploy.evaluation.study import Category
    from softpatch.images.geometry import Geometry
    from softpatch.scoring.score import Scorer

NOISE = 0.1
PLANTED_FRAMES = 160
"""Each with four defects; a good frame of the test gets others each time it is taken."""


@dataclass(frozen=True)
class Shares:
    """Of planted and of true defects, those above the 95 and the 98 % quantile of the good frames' scores."""

    planted_95: float
    true_95: float
    planted_98: float
    true_98: float


def inputs(category: Category, cache: EmbeddingCache) -> Iterator[tuple[Geometry, str]]:
    """By which the line's frames are looked at."""
    size_wh = typical_size([image.path.read_bytes() for image in category.images if image.split == "train"])
    most_px = BuildSettings().most_input_px
    for pixels in (most_px, most_px // 2):
        yield from input_candidates(size_wh, cache.embedder, BuildSettings(most_input_px=pixels))
    yield FAST, "fine"


def measured(category: Category, cache: EmbeddingCache, seed: int) -> Shares:
    """By the bank of one window at one input."""
    drawn = split(category.images, noise=NOISE, setting="overlap", seed=seed)
    window = training_window(drawn.window, set(drawn.injected), cache, "overlap", seed=seed)
    with ThreadPoolExecutor(1) as pool:
        fitted, _ = fit_answered(window, BuildSettings(seed=seed), pool)
    fitted, _ = weigh_positions(fitted, cross_fit(window.embeddings, fitted, make_search=FlatSearch))
    scorer = fitted.bank.scorer(FlatSearch)
    tested = [image for image in category.images if image.split == "test"]
    scores = np.array([frame.score for batch in cache.batches(tested) for frame in scorer.score(batch)])
    good = np.array([image.label == "good" for image in tested])
    encoded = [image.path.read_bytes() for image in tested if image.label == "good"]
    planted = np.array(_planted_scores(encoded, scorer, cache, seed))
    limits = np.quantile(scores[good], (0.95, 0.98))
    return Shares(*(round(float((each > limit).mean()), 4) for limit in limits for each in (planted, scores[~good])))


def _planted_scores(encoded: Sequence[bytes], scorer: Scorer, cache: EmbeddingCache, seed: int) -> list[float]:
    geometry = WHOLE_FRAMES.of(cache.geometry)
    found = []
    for start in range(0, PLANTED_FRAMES, FRAMES_AT_ONCE):
        numbers = range(start, min(start + FRAMES_AT_ONCE, PLANTED_FRAMES))
        frames = [planted_frame(encoded[i % len(encoded)], geometry, number=i, seed=seed) for i in numbers]
        scored = scorer.score(cache.embedder.embed(np.stack([each.on_input for each in frames])))
        for frame, each in zip(scored, frames, strict=True):
            found += highest_scores(frame.patch_scores, each, geometry)
    return found


def main() -> None:
    """Every row that the file lacks, then what they say together."""
    data, folder, file = (Path(each) for each in sys.argv[1:4])
    seeds = [int(each) for each in sys.argv[4:]] or [0]
    cache = cache_of(graph_of("lite0"), folder)
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for seed in seeds:
        for line, place in FOLDERS.items():
            category = category_of(data / place)
            for geometry, features in inputs(category, cache):
                key = {
                    "line": line,
                    "input": f"{geometry.width_px}x{geometry.height_px} {features}",
                    "seed": seed,
                }
                if any(key.items() <= row.items() for row in rows):
                    continue
                rows.append({**key, **asdict(measured(category, cache.at(geometry, features), seed))})
                with file.open("a") as out:
                    print(json.dumps(rows[-1]), file=out)
    for quantile in ("95", "98"):
        planted, true = ([float(row[f"{kind}_{quantile}"]) for row in rows] for kind in ("planted", "true"))
        correlation = float(spearmanr(planted, true).statistic)
        sys.stdout.write(f"{len(rows)} rows, {quantile} % quantile: rank correlation {correlation:.2f}\n")


if __name__ == "__main__":
    main()
