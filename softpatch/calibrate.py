"""Cross-fitted scores: what every frame of the window scores against a bank that has never seen its block of time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from softpatch.condense import Condensed, Patches, joined, reduced
from softpatch.groups import contiguous_blocks
from softpatch.judge import Judged
from softpatch.score import Scorer
from softpatch.search import Search
from softpatch.settings import BuildSettings
from softpatch.soft_weights import soft_weights
from softpatch.spill import Embeddings

SearchMaker = Callable[[Float32[np.ndarray, "m d"]], Search]

_FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class Weighted:
    """The soft weights of patches that are being scored against, before they are a bank."""

    soft_weights: Float32[np.ndarray, "m"]


@dataclass(frozen=True)
class CrossFit:
    """One score per frame, comparable with the final bank's, and the factor that made it so.

    `size_correction` is 1 where the calibration banks are as large as the final bank, below 1 where they are smaller.
    """

    scores: Float32[np.ndarray, "frames"]
    size_correction: float


def cross_fit(
    embeddings: Embeddings,
    judged: Judged,
    condensed: Condensed,
    settings: BuildSettings,
    *,
    make_search: SearchMaker,
    progress: Callable[[int, int], None],
) -> CrossFit:
    """Scores each block by a small bank of the other blocks.

    Outlier factors are not computed anew without the block: they only decide which patches enter, and one block's
    frames move the factors of the others far less than they move distances, at a third of the cost.
    A smaller bank scores higher. How much is measured on the same frames: the first half of a greedy coreset IS the
    coreset of half the size, so the ratio of the two medians is the effect of one doubling; the rest is extrapolated.
    """
    scores: list[Float32[np.ndarray, "block"]] = []
    halves: list[Float32[np.ndarray, "block"]] = []
    sizes: list[int] = []
    final = len(condensed.bank)
    for number, block in enumerate(contiguous_blocks(len(judged.factors), settings.calibration_blocks)):
        others = joined([part for other, part in enumerate(condensed.blocks) if other != number])
        bank = reduced(others, min(settings.calibration_patches, final), settings)
        half = bank.rows(slice(0, max(1, len(bank) // 2)))
        for part, found in ((bank, scores), (half, halves)):
            scorer = Scorer(Weighted(weights_of(part, judged, settings)), make_search(part.vectors))
            found.append(frame_scores(embeddings, block, scorer))
        sizes.append(len(bank))
        progress(number + 1, settings.calibration_blocks)
    raw = np.concatenate(scores)
    doublings = float(np.log2(final / np.mean(sizes)))
    correction = doubling_effect(raw, np.concatenate(halves)) ** max(0.0, doublings)
    return CrossFit(raw * np.float32(correction), correction)


def doubling_effect(scores: Float32[np.ndarray, "frames"], halves: Float32[np.ndarray, "frames"]) -> float:
    """What doubling a bank does to the median score, as a factor of at most 1."""
    before, after = float(np.median(halves)), float(np.median(scores))
    return min(1.0, after / before) if before > 0 and after > 0 else 1.0


def weights_of(patches: Patches, judged: Judged, settings: BuildSettings) -> Float32[np.ndarray, "m"]:
    """Soft weights of bank patches; ones where the settings switch them off."""
    if not settings.soft_weights:
        return np.ones(len(patches), np.float32)
    low, high = settings.soft_weight_low, settings.soft_weight_high
    return soft_weights(patches.factors, median_kept=judged.median_kept, low=low, high=high)


def frame_scores(embeddings: Embeddings, frames: range, scorer: Scorer) -> Float32[np.ndarray, "frames"]:
    """The anomaly score of each of those frames."""
    batches = [frames[start : start + _FRAMES_AT_ONCE] for start in range(0, len(frames), _FRAMES_AT_ONCE)]
    found = [score.score for batch in batches for score in scorer.score(embeddings.take(batch))]
    return np.array(found, np.float32)
