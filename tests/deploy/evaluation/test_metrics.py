"""The evaluation metrics against scikit-learn, and per-region overlap against its definition written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from deploy.evaluation.results.metrics import OneClassOnly, auroc, pixel_metrics


def written_out_pro(maps: np.ndarray, masks: np.ndarray, limit: float) -> float:
    """Mean over regions of the part found, against the false positive ratio, by trapezoids up to `limit`."""
    regions = []
    for index, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(index, labels == label) for label in range(1, count + 1)]
    points = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        found = maps >= threshold
        overlap = np.mean([found[index][region].mean() for index, region in regions])
        points.append((found[~masks].mean(), overlap))
    ratio, overlap = np.array(points).T
    inside = ratio < limit
    at_limit = np.interp(limit, ratio, overlap)
    return np.trapezoid(np.append(overlap[inside], at_limit), np.append(ratio[inside], limit)) / limit


def scene(seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps [5, 12, 10] of `levels` distinct values (few: many ties) and masks with regions that touch at corners."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((5, 12, 10), bool)
    masks[0, 2:5, 3:7] = masks[0, 5:7, 7:9] = True
    masks[1, 8:, :2] = masks[1, 0, 0] = True
    masks[2] = rng.random((12, 10)) < 0.1
    maps = rng.normal(size=masks.shape) + 1.2 * masks
    return np.round(maps * levels).astype(np.float32) / np.float32(levels), masks


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_pixel_metrics_are_those_of_scikit_learn_and_of_the_definition(seed: int, levels: int) -> None:
    """AUROC and average precision to rounding, ties included; PRO as written out threshold by threshold."""
    maps, masks = scene(seed, levels)
    found = pixel_metrics(list(maps), [mask if mask.any() else None for mask in masks])
    assert found.auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-9)
    assert found.average_precision == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-9)
    assert found.pro == pytest.approx(written_out_pro(maps, masks, 0.3), abs=1e-9)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_image_auroc_is_scikit_learns(samples: list[tuple[int, bool]]) -> None:
    """Few distinct scores make many ties; one class alone is refused."""
    scores = np.array([score for score, _ in samples], float)
    defective = np.array([bad for _, bad in samples])
    if defective.all() or not defective.any():
        with pytest.raises(OneClassOnly, match="AUROC needs defective and good samples"):
            auroc(scores, defective)
    else:
        assert auroc(scores, defective) == pytest.approx(roc_auc_score(defective, scores))


def test_maps_of_good_frames_alone_are_refused() -> None:
    """Without a defective pixel there is nothing to find."""
    with pytest.raises(OneClassOnly):
        pixel_metrics([np.zeros((2, 2), np.float32)], [None])
