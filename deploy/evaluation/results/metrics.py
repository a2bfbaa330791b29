"""Image and pixel AUROC, per-region overlap and average precision, exact and from sorted scores alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

PRO_LIMIT = 0.3
"""False positive ratio up to which per-region overlap is integrated (Bergmann et al., 2020)."""


@dataclass(frozen=True)
class PixelMetrics:
    """How well anomaly maps find the defective pixels; each in 0 to 1."""

    auroc: float
    pro: float
    average_precision: float


class OneClassOnly(ValueError):
    """A metric of two classes was computed for one."""

    def __init__(self, *, positives: int, negatives: int) -> None:
        super().__init__(f"AUROC needs defective and good samples, got {positives} defective and {negatives} good")


def auroc(scores: Float[np.ndarray, "n"], defective: Bool[np.ndarray, "n"]) -> float:
    """Probability that a defective sample scores above a good one, ties counted half.

    Raises OneClassOnly where either class is missing.
    """
    positive, negative = np.sort(scores[defective]), np.sort(scores[~defective])
    if not positive.size or not negative.size:
        raise OneClassOnly(positives=positive.size, negatives=negative.size)
    alike = np.full(positive.size, 1 / positive.size)
    return _area_left_of(_found_from(positive, negative), alike, limit=1.0)


def pixel_metrics(
    maps: Sequence[Float32[np.ndarray, "h w"]], masks: Sequence[Bool[np.ndarray, "h w"] | None]
) -> PixelMetrics:
    """Metrics over all pixels of all frames; a mask of None is a good frame.

    Raises OneClassOnly where no pixel is defective, or all are.
    """
    flat_masks = [np.zeros(m.shape, bool) if mask is None else mask for m, mask in zip(maps, masks, strict=True)]
    positive = np.concatenate([m[mask] for m, mask in zip(maps, flat_masks, strict=True)])
    negative = np.sort(np.concatenate([m[~mask] for m, mask in zip(maps, flat_masks, strict=True)]))
    if not positive.size or not negative.size:
        raise OneClassOnly(positives=positive.size, negatives=negative.size)
    order = np.argsort(positive)  # neighbours are then looked up one after the other, which is several times faster
    found = _found_from(positive[order], negative)
    alike = np.full(positive.size, 1 / positive.size)
    return PixelMetrics(
        auroc=_area_left_of(found, alike, limit=1.0),
        pro=_area_left_of(found, _region_weights(flat_masks)[order], limit=PRO_LIMIT) / PRO_LIMIT,
        average_precision=_average_precision(positive[order], negative),
    )


def _region_weights(masks: Sequence[Bool[np.ndarray, "h w"]]) -> Float[np.ndarray, "p"]:
    """Weight of every defective pixel such that each connected region weighs the same and all weigh one."""
    regions = 0
    shares = []
    for mask in masks:
        count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        sizes = np.bincount(labels.ravel(), minlength=count)
        regions += count - 1
        shares.append(1 / sizes[labels[mask]])
    return np.concatenate(shares) / regions


@dataclass(frozen=True)
class _Found:
    """The false positive ratios between which each positive is found: two where it ties with negatives."""

    after: Float[np.ndarray, "p"]
    until: Float[np.ndarray, "p"]


def _found_from(sorted_positive: Float[np.ndarray, "p"], sorted_negative: Float[np.ndarray, "n"]) -> _Found:
    total = sorted_negative.size
    until, after = (
        (total - np.searchsorted(sorted_negative, sorted_positive, side=side)) / total for side in ("left", "right")
    )
    return _Found(after, until)


def _area_left_of(found: _Found, weights: Float[np.ndarray, "p"], *, limit: float) -> float:
    """Area under (false positive ratio, weighted true positive ratio) for ratios from 0 to `limit`.

    A positive adds its weight from the false positive ratio on at which it is found; where it ties with negatives, the
    curve rises linearly over the tie.
    """
    begin, end = np.minimum(found.after, limit), np.minimum(found.until, limit)
    tie = found.until - found.after
    risen = np.divide(end - begin, tie, out=np.ones_like(tie), where=tie > 0)
    return float(np.sum(weights * (risen * (end - begin) / 2 + np.where(tie > 0, risen, 1.0) * (limit - end))))


def _average_precision(sorted_positive: Float[np.ndarray, "p"], sorted_negative: Float[np.ndarray, "n"]) -> float:
    """Precision at each threshold, weighted by the recall it adds; thresholds are the distinct positive scores."""
    threshold, count = np.unique(sorted_positive, return_counts=True)
    true_positives = np.cumsum(count[::-1])[::-1]
    false = sorted_negative.size - np.searchsorted(sorted_negative, threshold, side="left")
    return float(np.sum(count / sorted_positive.size * true_positives / (true_positives + false)))
