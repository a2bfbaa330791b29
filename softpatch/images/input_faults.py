"""Frames that show nothing to inspect: black, over-exposed, frozen. Detected from pixels alone, before any network.

A view's own frames set the limits (`InputBaseline`): a part on black velvet is dark and a silhouette's ground is
white, as they should be. Measured on all 2,316 frames of four real lines: docs/decisions/input-faults.md.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from softpatch.images.statistics import FLAT_CONTRAST, FLAT_DARK, FLAT_WHITE, ImageStatistics, luma_of

THUMBNAIL_SIDE = 16
"""Cells a side of the thumbnail that frames are compared by: averaging leaves little of the sensor's noise."""

FROZEN_FRAMES = 10
"""This many frames in a row that show the same instant are no coincidence; on real lines the longest run was 3."""

LOST_RATIO = 0.5
"""A frame is black, or over-exposed, where more than this share of what the baseline leaves is dark, or white."""

IGNORED_OF = 20
"""One calibration frame in this many, and at least one, sets no limit: a first window may hold faulty frames itself."""


class InputFault(StrEnum):
    """Why a frame shows nothing to inspect."""

    BLACK = "black"
    OVEREXPOSED = "overexposed"
    FROZEN = "frozen"


@dataclass(frozen=True, eq=False)
class FrameThumbnail:
    """What frames are compared by, at the network's input: a digest of the pixels and a thumbnail.

    `cells` is luma over its own mean, so that a lamp's flicker is no difference.
    """

    digest: bytes
    cells: Float32[np.ndarray, "16 16"]

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "h w 3"]) -> "FrameThumbnail":
        """The thumbnail of a frame."""
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        luma = np.asarray(luma_of(image), np.float32)
        cells = np.asarray(cv2.resize(luma, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA))
        return cls(digest, cells / np.float32(max(float(cells.mean()), 1.0)))

    def to_bytes(self) -> bytes:
        """Digest and cells, in half precision: 528 bytes."""
        return self.digest + self.cells.astype("<f2").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "FrameThumbnail":
        """What `to_bytes` wrote. Raises ValueError for other bytes."""
        cells = np.frombuffer(data[16:], "<f2").astype(np.float32).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        return cls(data[:16], cells)


@dataclass(frozen=True)
class InputBaseline:
    """The limits that a view's own frames set; the defaults hold while a view has no bank.

    The largest dark and saturated share and the least contrast of its calibration frames but the few most extreme, 0 to
    1. `noise_floor` is half the least difference of any two of its probe frames: nearer ones show the same instant.
    `bit_depth` is that of its frames, by which others are to be measured; None while nothing says it.
    """

    dark_ratio: float = 0.96
    saturated_ratio: float = 0.96
    contrast: float = 1.0
    noise_floor: float = 0.0
    bit_depth: int | None = None

    @classmethod
    def of(
        cls,
        statistics: Float32[np.ndarray, "frames 5"],
        thumbnails: Sequence[FrameThumbnail],
        *,
        bit_depth: int | None = None,
    ) -> "InputBaseline":
        """From image statistics (brightness, contrast, sharpness, dark, saturated) and thumbnails of some frames."""
        differences = [difference(a, b) for a, b in combinations(thumbnails, 2)]
        return cls(
            dark_ratio=-_least(-statistics[:, 3]),
            saturated_ratio=-_least(-statistics[:, 4]),
            contrast=_least(statistics[:, 1]),
            noise_floor=min(differences, default=0.0) / 2,
            bit_depth=bit_depth,
        )


def exposure_fault(statistics: ImageStatistics, baseline: InputBaseline) -> InputFault | None:
    """Black or over-exposed, or neither."""
    flat = statistics.contrast < min(FLAT_CONTRAST, baseline.contrast / 2)
    if _lost(statistics.dark_ratio, baseline.dark_ratio) or (flat and statistics.brightness <= FLAT_DARK):
        return InputFault.BLACK
    if _lost(statistics.saturated_ratio, baseline.saturated_ratio) or (flat and statistics.brightness >= FLAT_WHITE):
        return InputFault.OVEREXPOSED
    return None


def difference(a: FrameThumbnail, b: FrameThumbnail) -> float:
    """Root mean square of the difference of two thumbnails, as a share of the mean luma."""
    return float(np.sqrt(np.square(a.cells - b.cells).mean()))


@dataclass(frozen=True, eq=False)
class FrozenRun:
    """The first frame of the present run of equal frames, and how many equal ones have followed it."""

    first: FrameThumbnail | None = None
    repeats: int = 0

    def after(self, thumbnail: FrameThumbnail, baseline: InputBaseline) -> "FrozenRun":
        """The run one frame later. Frames are compared with its first, so that a slow change ends it at last."""
        if self.first is not None and (
            thumbnail.digest == self.first.digest or difference(thumbnail, self.first) < baseline.noise_floor
        ):
            return FrozenRun(self.first, self.repeats + 1)
        return FrozenRun(thumbnail)

    def frozen(self, frames: int) -> bool:
        """Whether this many frames in a row show the same instant. One repeat is no evidence: rigid parts are alike."""
        return self.repeats + 1 >= frames


def _least(values: Float32[np.ndarray, "frames"]) -> float:
    """The least but for the ignored ones; where there are few values, half of them count at least."""
    ignored = min(-(-len(values) // IGNORED_OF), (len(values) - 1) // 2)
    return float(np.sort(values)[ignored])


def _lost(ratio: float, baseline: float) -> bool:
    return ratio > baseline + LOST_RATIO * (1 - baseline)
