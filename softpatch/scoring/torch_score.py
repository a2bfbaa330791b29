"""Scores on the device of a torch search: what `softpatch.scoring.score` does, on tensors, where the embeddings are.

Two things differ, and only in rounding. Trusted and untrusted patches are searched by one matrix product. Blur,
upsampling and smoothing are linear along each axis, so each is a product with a matrix per axis, which OpenCV makes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from softpatch.network.tensors import Tensor
from softpatch.scoring.score import (
    MAP_KERNEL_PX,
    MAP_SIGMA_PX,
    NEGATIVE_GAIN,
    NEGATIVE_REACH,
    FrameScore,
    FrameScorer,
    Scorer,
    WeightedPatches,
)
from softpatch.scoring.search import Search
from softpatch.scoring.torch_search import BankPart, TorchSearch


def scorer_of(bank: WeightedPatches, search: Search) -> FrameScorer:
    """The scorer that keeps to the memory of the search."""
    return TorchScorer(bank, search) if isinstance(search, TorchSearch) else Scorer(bank, search)


class TorchScorer:
    """Scores frames against one bank on a device; embeddings are tensors there, or arrays, which are brought there.

    Patch scores, rows and mean patches come back to the host, and of a frame that fails where its map exceeds.
    """

    def __init__(self, bank: WeightedPatches, search: TorchSearch) -> None:
        trusted, rule = bank.trusted_patches, bank.scoring
        here = slice(0, trusted)
        self._search, self._rule = search, rule
        self._parts = self._parts_of(bank)
        self._soft_weights = search.on_device(bank.soft_weights[here])
        self._confirmed = None if bank.confirmed is None else search.on_device(bank.confirmed[here])
        self._within = None if bank.second_frame_within is None else search.on_device(bank.second_frame_within[here])
        self._metric = None if bank.metric is None else search.on_device(bank.metric)
        self._ignored = None if bank.ignored is None else search.on_device(bank.ignored)
        weights = bank.position_weights
        self._position_weights = None if weights is None else search.on_device(weights)
        self._negatives = None if bank.negative_vectors is None else search.on_device(bank.negative_vectors)

    def _parts_of(self, bank: WeightedPatches) -> Sequence[BankPart]:
        trusted, every = bank.trusted_patches, len(bank.soft_weights)
        frames = None if bank.scoring.second_frame_ratio == 0 else bank.source_frame[:trusted]
        rows = [slice(trusted, every)] if trusted < every else []
        return [self._search.bank_part(slice(0, trusted), frames), *map(self._search.bank_part, rows)]

    def score(self, embeddings: Float32[Any, "n p q d"]) -> list[FrameScore]:
        """See FrameScorer; the rule is that of Scorer.

        Raises:
            NoNeighbour: an embedding is not finite.
        """
        import torch  # noqa: PLC0415

        with torch.inference_mode():
            on_device = self._search.on_device(embeddings)
            patches = on_device.reshape(-1, on_device.shape[-1])
            distance, row = self._distances(patches if self._metric is None else patches @ self._metric)
            scores = self._weighed((self._soft_weights[row] * distance).reshape(on_device.shape[:3]))
            patch_scores, rows = scores.cpu().numpy(), row.reshape(on_device.shape[:3]).cpu().numpy()
        return [FrameScore(float(frame.max()), frame, each) for frame, each in zip(patch_scores, rows, strict=True)]

    def exceeding(
        self, patch_scores: Float32[np.ndarray, "p q"], threshold: float, *, height_px: int, width_px: int
    ) -> Bool[np.ndarray, "height_px width_px"]:
        """See FrameScorer. Of a frame that fails alone: its patch scores, 3 to 12 kB, go to the device again."""
        import torch  # noqa: PLC0415

        rows, columns = patch_scores.shape
        device = self._search.device
        down, across = _map_matrix(rows, height_px, device), _map_matrix(columns, width_px, device)
        with torch.inference_mode():
            smoothed = down @ self._search.on_device(patch_scores) @ across.T
            return np.asarray((smoothed > threshold).cpu().numpy())

    def mean_patches(self, embeddings: Float32[Any, "n p q d"]) -> Float32[np.ndarray, "n d"]:
        """See FrameScorer."""
        import torch  # noqa: PLC0415

        on_device = self._search.on_device(embeddings)
        return np.asarray(on_device.mean(dim=(1, 2), dtype=torch.float64).float().cpu().numpy())

    def _distances(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """As Scorer's, of tensors."""
        import torch  # noqa: PLC0415

        found = self._search.found(queries, self._parts)
        nearest, row, second = found[0]
        distance = nearest
        if self._rule.second_frame_ratio != 0:
            if self._within is not None:
                second = torch.minimum(second, nearest + self._within[row])
            distance = torch.maximum(nearest, second - (1 - self._rule.second_frame_ratio) * nearest)
            if self._confirmed is not None:
                distance = torch.where(self._confirmed[row], nearest, distance)
        if len(found) > 1:
            untrusted = found[1].distance
            least = distance - (1 - self._rule.untrusted_ratio) * untrusted
            distance = torch.minimum(torch.maximum(untrusted, least), distance)
        return (distance if self._negatives is None else _raised(distance, queries, self._negatives)), row

    def _weighed(self, scores: Tensor) -> Tensor:
        blurred = self._blurred(scores)
        return blurred if self._position_weights is None else blurred * self._position_weights

    def _blurred(self, scores: Tensor) -> Tensor:
        """Ignored positions are 0, before and after."""
        scores = scores if self._ignored is None else scores.masked_fill(self._ignored, 0)
        if self._rule.blur_cells == 0:
            return scores
        down, across = (_blur_matrix(self._rule.blur_cells, n, self._search.device) for n in scores.shape[1:])
        blurred = down @ scores @ across.T
        return blurred if self._ignored is None else blurred.masked_fill(self._ignored, 0)


def _raised(distance: Tensor, queries: Tensor, negatives: Tensor) -> Tensor:
    """As the scorer's of the same name, of tensors."""
    import torch  # noqa: PLC0415

    squared = negatives.square().sum(dim=1) - 2 * (queries @ negatives.T)
    nearest = (queries - negatives[squared.argmin(dim=1)]).square().sum(dim=1).sqrt()
    nearer = 1 - nearest / (NEGATIVE_REACH * distance).clamp(min=torch.finfo(torch.float32).tiny)
    return distance * (1 + NEGATIVE_GAIN * nearer.clamp(min=0))


@lru_cache(maxsize=64)
def _blur_matrix(cells: float, count: int, device: str) -> Tensor:
    """What blurs a column of so many patch scores, by multiplication from the left: "count count"."""
    kernel = cv2.getGaussianKernel(round(cells * 8 + 1) | 1, cells)  # the size that OpenCV takes of floats by itself
    return _down_columns(np.eye(count, dtype=np.float32), kernel, device)


@lru_cache(maxsize=64)
def _map_matrix(cells: int, px: int, device: str) -> Tensor:
    """What upsamples a column of patch scores to pixels and smooths it: "px cells"."""
    upsampled = cv2.resize(np.eye(cells, dtype=np.float32), (cells, px), interpolation=cv2.INTER_LINEAR)
    return _down_columns(np.asarray(upsampled), cv2.getGaussianKernel(MAP_KERNEL_PX, MAP_SIGMA_PX), device)


def _down_columns(columns: Float32[np.ndarray, "n m"], kernel: np.ndarray, device: str) -> Tensor:
    """Every column filtered, as a tensor."""
    import torch  # noqa: PLC0415

    filtered = cv2.sepFilter2D(columns, -1, np.ones(1), kernel, borderType=cv2.BORDER_REFLECT)
    return torch.from_numpy(np.asarray(filtered)).to(device)
