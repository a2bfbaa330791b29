"""Frames that show nothing to judge: black, over-exposed, frozen. Told from pixels alone, before any network.

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

from softpatch.images.statistics import ImageStatistics

LOOK_SIDE = 16
"""Cells a side of the small picture that frames are compared by: averaging leaves little of the sensor's noise."""

FROZEN_FRAMES = 10
"""So many frames in a row that show the same instant are no coincidence; on real lines the longest such run was 3."""

LOST_RATIO = 0.5
"""A frame is black, or over-exposed, where more than this share of what usually shows something is dark, or white."""

FLAT = 2 / 255
"""Contrast that averaged sensor noise alone may have; black levels and glare differ, but nothing is seen in either."""

FLAT_DARK, FLAT_WHITE = 32 / 255, 235 / 255
"""Brightness up to which, and from which, a picture without contrast is a covered lens, or glare."""


SPARED_OF = 20
"""One calibration frame in so many, and at least one, sets no limit: a first window may hold faulty frames itself."""


class InputFault(StrEnum):
    """Why a frame shows nothing to judge."""

    BLACK = "black"
    OVEREXPOSED = "overexposed"
    FROZEN = "frozen"


@dataclass(frozen=True, eq=False)
class FrameThumbnail:
    """What frames are compared by, at the network's input: a digest of the pixels and a small picture.

    `cells` is luma over its own mean, so that a lamp's flicker is no difference.
    """

    digest: bytes
    cells: Float32[np.ndarray, "16 16"]

    @classmethod
    def of(cls, image: UInt8[np.ndarray, "h w 3"]) -> "FrameThumbnail":
        """The look of a frame."""
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
        luma = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)
        cells = np.asarray(cv2.resize(luma, (LOOK_SIDE, LOOK_SIDE), interpolation=cv2.INTER_AREA))
        return cls(digest, cells / np.float32(max(float(cells.mean()), 1.0)))

    def to_bytes(self) -> bytes:
        """Digest and cells, in half precision: 528 bytes."""
        return self.digest + self.cells.astype("<f2").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> "FrameThumbnail":
        """What `to_bytes` wrote. Raises ValueError for other bytes."""
        cells = np.frombuffer(data[16:], "<f2").astype(np.float32).reshape(LOOK_SIDE, LOOK_SIDE)
        return cls(data[:16], cells)


@dataclass(frozen=True)
class InputBaseline:
    """What a view's own frames look like; the default says what holds where no bank knows yet.

    The largest dark and saturated share and the least contrast of its calibration frames but the few most extreme, 0 to
    1. `noise_floor` is half the least difference of any two of its probe frames: nearer ones show the same instant.
    """

    dark_ratio: float = 0.96
    saturated_ratio: float = 0.96
    contrast: float = 1.0
    noise_floor: float = 0.0

    @classmethod
    def of(cls, statistics: Float32[np.ndarray, "frames 5"], looks: Sequence[FrameThumbnail]) -> "InputBaseline":
        """From image statistics (brightness, contrast, sharpness, dark, saturated) and looks of some of the frames."""
        apart = [difference(a, b) for a, b in combinations(looks, 2)]
        return cls(
            dark_ratio=-_least(-statistics[:, 3]),
            saturated_ratio=-_least(-statistics[:, 4]),
            contrast=_least(statistics[:, 1]),
            noise_floor=min(apart, default=0.0) / 2,
        )


def exposure_fault(seen: ImageStatistics, usual: InputBaseline) -> InputFault | None:
    """Black or over-exposed, or neither."""
    flat = seen.contrast < min(FLAT, usual.contrast / 2)
    if _lost(seen.dark_ratio, usual.dark_ratio) or (flat and seen.brightness <= FLAT_DARK):
        return InputFault.BLACK
    if _lost(seen.saturated_ratio, usual.saturated_ratio) or (flat and seen.brightness >= FLAT_WHITE):
        return InputFault.OVEREXPOSED
    return None


def difference(a: FrameThumbnail, b: FrameThumbnail) -> float:
    """Root mean square of the difference of two looks, as a share of the mean luma."""
    return float(np.sqrt(np.square(a.cells - b.cells).mean()))


@dataclass(frozen=True, eq=False)
class FrozenRun:
    """The picture that the present run of like frames began with, and how many like it have come after it."""

    look: FrameThumbnail | None = None
    repeats: int = 0

    def after(self, look: FrameThumbnail, usual: InputBaseline) -> "FrozenRun":
        """One frame later. It is compared with the run's first, so that a slow scene leaves it in the end."""
        if self.look is not None and (
            look.digest == self.look.digest or difference(look, self.look) < usual.noise_floor
        ):
            return FrozenRun(self.look, self.repeats + 1)
        return FrozenRun(look)

    def frozen(self, frames: int) -> bool:
        """Whether so many frames in a row show the same instant. One repeat says nothing: rigid parts are alike."""
        return self.repeats + 1 >= frames


def _least(values: Float32[np.ndarray, "frames"]) -> float:
    """The least but for the spared; where there are few, no less than half of them count."""
    spared = min(-(-len(values) // SPARED_OF), (len(values) - 1) // 2)
    return float(np.sort(values)[spared])


def _lost(ratio: float, usual: float) -> bool:
    return ratio > usual + LOST_RATIO * (1 - usual)
