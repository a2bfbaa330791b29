"""From embeddings to patch scores, a frame score, a map, and the regions to show (SoftPatch Eq. 7, 8, and ours)."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from softpatch.network.sketch import mean_patch
from softpatch.scoring.search import Search
from softpatch.settings import ScoringRule

MAP_SIGMA_PX = 4
MAP_KERNEL_PX = 4 * MAP_SIGMA_PX * 2 + 1  # four sigma a side, as SciPy's filter of the reference


NEGATIVE_GAIN = 2.0
"""By how many times itself a patch's distance grows at most, where a known defect is there: one that had two fifths of
the threshold fails then."""

NEGATIVE_REACH = 0.5
"""Share of a patch's distance to the bank within which a known defect must be: what is hardly nearer to it than to good
patches may be good, and raised good frames as well."""


@dataclass(frozen=True)
class FrameScore:
    """The anomaly score of one frame, the maximum over its patches, and where it comes from."""

    score: float
    patch_scores: Float32[np.ndarray, "p q"]
    nearest_row: Int64[np.ndarray, "p q"]

    @property
    def worst_position(self) -> tuple[int, int]:
        """Grid row and column of the patch that gives the frame its score."""
        row, column = np.unravel_index(self.patch_scores.argmax(), self.patch_scores.shape)
        return int(row), int(column)


@dataclass(frozen=True)
class Region:
    """A connected part of a frame that fails: a box in pixels of the network input, and its highest patch score."""

    box_xyxy: tuple[int, int, int, int]
    peak: float


@runtime_checkable
class WeightedPatches(Protocol):
    """What scoring needs of a bank: each patch's weight and frame, in the order of the search's rows, and the rule."""

    @property
    def soft_weights(self) -> Float32[np.ndarray, "m"]:
        """Larger where the bank patch was itself an outlier in its window."""
        ...

    @property
    def source_frame(self) -> Int32[np.ndarray, "m"]:
        """Which frame of the window each patch is from."""
        ...

    @property
    def trusted_patches(self) -> int:
        """How many patches, from the first on, are trusted; the patches after them are untrusted."""
        ...

    @property
    def scoring(self) -> ScoringRule:
        """How distances become scores."""
        ...

    @property
    def confirmed(self) -> Bool[np.ndarray, "m"] | None:
        """Which patches are of frames that a person called good; None where there are none."""
        ...

    @property
    def second_frame_within(self) -> Float32[np.ndarray, "m"] | None:
        """At what distance from each patch the window held others like it; infinite where it is not known to."""
        ...

    @property
    def negative_vectors(self) -> Float32[np.ndarray, "k d"] | None:
        """Patches of defects that people named; None where there are none."""
        ...

    @property
    def metric(self) -> Float32[np.ndarray, "d d"] | None:
        """What embeddings are multiplied by before they are compared; None where they are compared as they are."""
        ...

    @property
    def position_weights(self) -> Float32[np.ndarray, "p q"] | None:
        """Smaller where good frames often have their highest patch score; None where all positions count alike."""
        ...

    @property
    def ignored(self) -> Bool[np.ndarray, "p q"] | None:
        """Grid positions that never score; None where there are none."""
        ...


@runtime_checkable
class FrameScorer(Protocol):
    """Scores frames against one bank; embeddings may lie on a device where the scorer is there, too."""

    def score(self, embeddings: Float32[Any, "n p q d"]) -> list[FrameScore]:
        """One score per frame. Raises NoNeighbour."""
        ...

    def exceeding(
        self, patch_scores: Float32[np.ndarray, "p q"], threshold: float, *, height_px: int, width_px: int
    ) -> Bool[np.ndarray, "height_px width_px"]:
        """Where the anomaly map of a frame, in pixels of the network input, exceeds the threshold."""
        ...

    def mean_patches(self, embeddings: Float32[Any, "n p q d"]) -> Float32[np.ndarray, "n d"]:
        """The mean over the patches of each frame, on the host."""
        ...


class Scorer:
    """Scores frames against one bank."""

    def __init__(self, bank: WeightedPatches, search: Search) -> None:
        trusted = bank.trusted_patches
        self._rule = bank.scoring
        self._soft_weights = bank.soft_weights[:trusted]
        self._frames = bank.source_frame[:trusted]
        self._confirmed = None if bank.confirmed is None else bank.confirmed[:trusted]
        self._within = None if bank.second_frame_within is None else bank.second_frame_within[:trusted]
        self._ignored = bank.ignored
        self._position_weights = bank.position_weights
        self._metric = bank.metric
        self._negatives = bank.negative_vectors
        self._trusted, self._untrusted = search, None
        if trusted < len(bank.soft_weights):
            self._trusted, self._untrusted = search.part(slice(0, trusted)), search.part(slice(trusted, None))

    def score(self, embeddings: Float32[np.ndarray, "n p q d"]) -> list[FrameScore]:
        """One score per frame: the soft weight of the nearest bank patch times the distance to it (Eq. 7, 8).

        Ours, each off in the paper's rule:

        - Patches are compared in the bank's metric, where it has one.
        - The distance counts as at least that to the second-frame neighbour (the nearest patch of another frame), less
          1 - `second_frame_ratio` of itself. A defect in the bank is near only to the one frame it was on, so it does
          not lower its own score. Of patches that are alike the bank holds one: where the window showed others within
          some distance of it, the second frame is no farther than that and the nearest patch together.
          Patches of frames that a person called good need no second frame.
        - An untrusted patch that is nearer lowers the score by 1 - `untrusted_ratio` of its own distance, and never
          below that distance: a rejected defect does not lower its own score either.
        - Patch scores are averaged with their neighbours' by a Gaussian of `blur_cells`: defects have an extent.
        - Where good frames often have their highest patch score, the average counts less, by the position's weight.
        - A patch that is much nearer to a patch of a defect that a person named than to the bank scores more: by up to
          `NEGATIVE_GAIN` times its distance, where it is that patch.
        - Positions that a person said to ignore score 0, before and after that.

        Raises:
            NoNeighbour: the bank is empty, or an embedding is not finite.
        """
        distance, row = self._distances(in_metric(embeddings, self._metric).reshape(-1, embeddings.shape[-1]))
        scores = (self._soft_weights[row] * distance).reshape(embeddings.shape[:3])
        rows = row.reshape(embeddings.shape[:3])
        if self._ignored is not None:
            scores[:, self._ignored] = 0
        blurred = [_blur(frame, self._rule.blur_cells, self._ignored) for frame in scores]
        if self._position_weights is not None:
            blurred = [frame * self._position_weights for frame in blurred]
        return [FrameScore(float(frame.max()), frame, its_rows) for frame, its_rows in zip(blurred, rows, strict=True)]

    def exceeding(
        self, patch_scores: Float32[np.ndarray, "p q"], threshold: float, *, height_px: int, width_px: int
    ) -> Bool[np.ndarray, "height_px width_px"]:
        """See FrameScorer."""
        return anomaly_map(patch_scores, height_px=height_px, width_px=width_px) > threshold

    def mean_patches(self, embeddings: Float32[np.ndarray, "n p q d"]) -> Float32[np.ndarray, "n d"]:
        """See FrameScorer."""
        return np.array([mean_patch(each) for each in embeddings])

    def _distances(self, queries: Float32[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
        distance, row = self._trusted_distances(queries)
        if self._untrusted is not None:
            untrusted = self._untrusted.nearest(queries).distance
            credit = np.float32(1 - self._rule.untrusted_ratio) * untrusted
            distance = np.clip(untrusted, distance - credit, distance)
        return (distance if self._negatives is None else _raised(distance, queries, self._negatives)), row

    def _trusted_distances(self, queries: Float32[np.ndarray, "n d"]) -> tuple[np.ndarray, np.ndarray]:
        if self._rule.second_frame_ratio == 0:
            return self._trusted.nearest(queries)
        nearest = self._trusted.nearest_two_frames(queries, self._frames)
        second = nearest.second_frame_distance
        if self._within is not None:
            second = np.minimum(second, nearest.distance + self._within[nearest.row])
        credit = np.float32(1 - self._rule.second_frame_ratio) * nearest.distance
        distance = np.maximum(nearest.distance, second - credit)
        if self._confirmed is None:
            return distance, nearest.row
        return np.where(self._confirmed[nearest.row], nearest.distance, distance), nearest.row


def in_metric(
    embeddings: Float32[np.ndarray, "*axes d"], metric: Float32[np.ndarray, "d d"] | None
) -> Float32[np.ndarray, "*axes d"]:
    """Embeddings as a bank with that metric compares them: times it, or as they are."""
    if metric is None:
        return embeddings
    return np.asarray((embeddings.reshape(-1, len(metric)) @ metric).reshape(embeddings.shape))


def _raised(
    distance: Float32[np.ndarray, "n"], queries: Float32[np.ndarray, "n d"], negatives: Float32[np.ndarray, "k d"]
) -> Float32[np.ndarray, "n"]:
    """Distances, larger where a negative is nearer than that."""
    squared = np.square(negatives).sum(axis=1) - 2 * (queries @ negatives.T)
    nearest = np.linalg.norm(queries - negatives[squared.argmin(axis=1)], axis=1)  # by difference: exact where it is 0
    with np.errstate(over="ignore"):  # where a distance is 0
        nearer = 1 - nearest / np.maximum(NEGATIVE_REACH * distance, np.finfo(np.float32).tiny)
    return np.asarray(distance * (1 + NEGATIVE_GAIN * np.maximum(nearer, 0)), np.float32)


def _blur(
    patch_scores: Float32[np.ndarray, "p q"], cells: float, ignored: Bool[np.ndarray, "p q"] | None
) -> Float32[np.ndarray, "p q"]:
    """An average, so that no patch exceeds what the frame's worst was; a sigma of 0 leaves them as they are."""
    if cells == 0:
        return patch_scores
    blurred = np.asarray(cv2.GaussianBlur(patch_scores, (0, 0), cells, borderType=cv2.BORDER_REFLECT))
    return blurred if ignored is None else np.where(ignored, np.float32(0), blurred)


def anomaly_map(
    patch_scores: Float32[np.ndarray, "p q"], *, height_px: int, width_px: int
) -> Float32[np.ndarray, "height_px width_px"]:
    """Patch scores upsampled bilinearly to the network input, then smoothed with a Gaussian of 4 px.

    Both are averages, so no value exceeds the frame's score; single patches come out lower than they are.
    """
    upsampled = cv2.resize(patch_scores, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    smoothed = cv2.GaussianBlur(upsampled, (MAP_KERNEL_PX, MAP_KERNEL_PX), MAP_SIGMA_PX, borderType=cv2.BORDER_REFLECT)
    return np.asarray(smoothed)


def regions(
    patch_scores: Float32[np.ndarray, "p q"], smoothed: Float32[np.ndarray, "h w"], threshold: float
) -> list[Region]:
    """The connected parts where the map, or a patch itself, exceeds the threshold; the highest peak first.

    The map alone would lose small defects, since smoothing lowers peaks. With the patches in, a frame has a region
    exactly if its score exceeds the threshold, and the first region's peak is that score.
    """
    return regions_within(patch_scores, smoothed > threshold, threshold)


def regions_within(
    patch_scores: Float32[np.ndarray, "p q"], exceeding: Bool[np.ndarray, "h w"], threshold: float
) -> list[Region]:
    """The same, of where the map exceeds the threshold."""
    height, width = exceeding.shape
    cells = cv2.resize(patch_scores, (width, height), interpolation=cv2.INTER_NEAREST)
    above = (exceeding | (cells > threshold)).astype(np.uint8)
    if not above.any():
        return []
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    above_threshold = [_region(cells, labels, label, box) for label, box in enumerate(boxes[1:, :4].tolist(), start=1)]
    return sorted(above_threshold, key=lambda region: -region.peak)


def _region(cells: np.ndarray, labels: np.ndarray, label: int, box_xywh: list[int]) -> Region:
    x, y, width, height = box_xywh
    inside = labels[y : y + height, x : x + width] == label
    return Region((x, y, x + width, y + height), float(cells[y : y + height, x : x + width][inside].max()))
