"""The uncertainty of a difference between two methods: a paired bootstrap over the test frames."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from deploy.evaluation.results.metrics import OneClassOnly


@dataclass(frozen=True)
class Paired:
    """Two methods' scores of the same test frames of one category, one row per seed.

    `tested` says which frames the seed's test set holds: without overlap it differs from seed to seed.
    """

    first: Float[np.ndarray, "seeds frames"]
    second: Float[np.ndarray, "seeds frames"]
    tested: Bool[np.ndarray, "seeds frames"]
    defective: Bool[np.ndarray, "frames"]


@dataclass(frozen=True)
class PairedDifference:
    """Mean image AUROC of the first method less the second's, with the interval that holds 90 % of resamples."""

    mean: float
    low: float
    high: float


def difference(categories: Sequence[Paired], *, resamples: int, seed: int) -> PairedDifference:
    """Mean over categories and seeds; frames are drawn anew per category, good and defective apart, both methods alike.

    Seeds share their test frames, so a drawn frame counts in every seed that tests it: seeds do not narrow the interval
    as if they were new frames.
    """
    rng = np.random.default_rng(seed)
    observed = np.mean([_aurocs(each, np.ones((1, each.defective.size)))[0] for each in categories])
    drawn = np.mean([_aurocs(each, _counts(each.defective, resamples, rng)) for each in categories], axis=0)
    low, high = np.quantile(drawn, [0.05, 0.95])
    return PairedDifference(float(observed), float(low), float(high))


def _counts(
    defective: Bool[np.ndarray, "frames"], resamples: int, rng: np.random.Generator
) -> Float[np.ndarray, "resamples frames"]:
    """How often each frame is drawn in each resample."""
    counts = np.zeros((resamples, defective.size))
    for kind in (defective, ~defective):
        size = int(kind.sum())
        counts[:, kind] = rng.multinomial(size, np.full(size, 1 / size), size=resamples)
    return counts


def _aurocs(pair: Paired, counts: Float[np.ndarray, "resamples frames"]) -> Float[np.ndarray, "resamples"]:
    """AUROC of the first less the second under frame counts, mean over seeds."""
    differences = np.zeros(len(counts))
    for first, second, tested in zip(pair.first, pair.second, pair.tested, strict=True):
        bad, good = pair.defective & tested, ~pair.defective & tested
        if not bad.any() or not good.any():
            raise OneClassOnly(positives=int(bad.sum()), negatives=int(good.sum()))
        weight_bad, weight_good = counts[:, bad], counts[:, good]
        gained = _wins(first[bad], first[good]) - _wins(second[bad], second[good])
        pairs = weight_bad.sum(axis=1) * weight_good.sum(axis=1)
        differences += np.einsum("rb,bg,rg->r", weight_bad, gained, weight_good, optimize=True) / pairs
    return differences / len(pair.first)


def _wins(bad: Float[np.ndarray, "b"], good: Float[np.ndarray, "g"]) -> Float[np.ndarray, "b g"]:
    """1 where the defective frame scores higher, a half where both tie."""
    return np.asarray((bad[:, None] > good) + 0.5 * (bad[:, None] == good))
