"""A camera above a moving line that nobody had to build: parts, light, pose and defects from a seed, with the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.cameras.defects import DEFECT_TYPES, DefectType, Specimen, defective, flawless
from ingest.cameras.lighting import Lighting, exposed, noise_plate
from ingest.cameras.parts import FINISHES, VARIANTS, Part, Variant, part
from ingest.cameras.source import GOOD, CameraFrame
from ingest.cameras.surfaces import belt, rail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import UInt8

    from ingest.cameras.source import WallClock
    from ingest.cameras.surfaces import Picture

BELT_LENGTHS = 4
SHADOW_SHIFT_PX = (9.0, 11.0)
SHADOW_BLUR_PX = 7.0
SHADOW_DEPTH = 0.62
SCENE, FRAME = 0, 1
"""The two kinds of random stream a seed is split into."""


@dataclass(frozen=True)
class Pose:
    """How far a part may lie from where it should. Standard deviations, cut at two of them."""

    shift_px: float = 5.0
    turn_degrees: float = 1.6


@dataclass(frozen=True)
class Simulator:
    """Frames of one part type, each a function of seed and index alone: the same seed gives the same bytes.

    `frames` None runs for ever. `defect_ratio` is each part's chance to be defective; `severity_range` is drawn from
    evenly, 0 being subtle.
    """

    variant: Variant
    seed: int
    clock: WallClock
    frames: int | None = None
    defect_ratio: float = 0.1
    defect_types: tuple[DefectType, ...] = DEFECT_TYPES
    severity_range: tuple[float, float] = (0.0, 1.0)
    size_px: int = 512
    jpeg_quality: int = 92
    pose: Pose = field(default_factory=Pose)
    lighting: Lighting = field(default_factory=Lighting)

    def __post_init__(self) -> None:
        """Raises ValueError that names the argument which cannot be rendered."""
        if self.variant not in VARIANTS:
            raise ValueError(f"variant {self.variant!r} must be one of {', '.join(VARIANTS)}")
        if not 0 <= self.defect_ratio <= 1:
            raise ValueError(f"defect_ratio {self.defect_ratio} must be between 0 and 1")
        if not 64 <= self.size_px <= 4096:  # noqa: PLR2004 -- below, no hole is left; above, no simulator is needed
            raise ValueError(f"size_px {self.size_px} must be between 64 and 4096")
        if not self.defect_types or not set(self.defect_types) <= set(DEFECT_TYPES):
            raise ValueError(f"defect_types must be some of {', '.join(DEFECT_TYPES)}")

    def __iter__(self) -> Iterator[CameraFrame]:
        index = 0
        while self.frames is None or index < self.frames:
            yield self.frame(index)
            index += 1

    def frame(self, index: int) -> CameraFrame:
        """Frame `index`, whatever was rendered before it."""
        rng = np.random.default_rng([self.seed, FRAME, index])
        label, specimen = self._specimen(rng)
        picture, mask = self._captured(specimen, index, rng)
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1].tobytes()
        return CameraFrame(
            encoded=encoded,
            content_type="image/jpeg",
            captured_at=self.clock(),
            source=f"simulator {self.variant}, seed {self.seed}, frame {index}",
            label=label,
            mask=None if label == GOOD else mask > 63,  # noqa: PLR2004 -- a hair line, turned, covers a quarter
        )

    def _specimen(self, rng: np.random.Generator) -> tuple[str, Specimen]:
        finish = int(rng.integers(FINISHES))
        if rng.random() >= self.defect_ratio:
            return GOOD, flawless(self._part, finish)
        kind = self.defect_types[int(rng.integers(len(self.defect_types)))]
        return kind, defective(self._part, finish, kind, rng.uniform(*self.severity_range), rng)

    def _captured(
        self, specimen: Specimen, index: int, rng: np.random.Generator
    ) -> tuple[Picture, UInt8[np.ndarray, "height width"]]:
        placed = self._placed(specimen, rng)
        scene = self._scene(placed, rng)
        light = self.lighting.field(index, self._phase, rng, self.size_px)
        return exposed(scene, light, self._noise, rng), placed.mask

    def _placed(self, specimen: Specimen, rng: np.random.Generator) -> Specimen:
        """The part where it lies on the belt: shifted and turned a little."""
        size, middle = self.size_px, (self.size_px - 1) / 2
        shift_x, shift_y, turn = np.clip(rng.normal(size=3), -2, 2)
        matrix = cv2.getRotationMatrix2D((middle, middle), self.pose.turn_degrees * turn, 1.0)
        matrix[:, 2] = matrix[:, 2] + np.array([shift_x, shift_y]) * self.pose.shift_px * size / 512
        colour, alpha, mask = (
            cv2.warpAffine(layer, matrix, (size, size), flags=cv2.INTER_LINEAR)
            for layer in (specimen.colour, specimen.alpha, specimen.mask)
        )
        return Specimen(colour, alpha, mask)

    def _scene(self, placed: Specimen, rng: np.random.Generator) -> Picture:
        """Belt, shadow, part and rails, as they are before any light varies."""
        start = int(rng.integers((BELT_LENGTHS - 1) * self.size_px))
        ground = self._belt[:, start : start + self.size_px]
        shade = self._shadow(placed.alpha)
        metal = placed.alpha.astype(np.float32) * np.float32(1 / 255)
        scene: Picture = cv2.blendLinear(placed.colour, np.ascontiguousarray(ground), metal, shade * (1 - metal))
        rows = self._rail.shape[0]
        scene[:rows] = self._rail
        scene[-rows:] = self._rail[::-1]
        return scene

    def _shadow(self, alpha: UInt8[np.ndarray, "height width"]) -> np.ndarray:
        """The share of light that reaches the belt beside and inside the part; drawn at a quarter of the size."""
        scale = self.size_px / 512
        small = cv2.resize(alpha, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        shift = np.array([[1, 0, SHADOW_SHIFT_PX[0] * scale / 4], [0, 1, SHADOW_SHIFT_PX[1] * scale / 4]])
        moved = cv2.warpAffine(small, shift, small.shape[::-1])
        soft = cv2.GaussianBlur(moved, (0, 0), SHADOW_BLUR_PX * scale / 4)
        lit = 1 - soft.astype(np.float32) * np.float32(SHADOW_DEPTH / 255)
        return cv2.resize(lit, (self.size_px, self.size_px), interpolation=cv2.INTER_LINEAR)

    @cached_property
    def _part(self) -> Part:
        return part(self.variant, self.size_px)

    @cached_property
    def _belt(self) -> Picture:
        return belt(self._scene_rng(0), self.size_px, lengths=BELT_LENGTHS)

    @cached_property
    def _rail(self) -> Picture:
        return rail(self._scene_rng(1), self.size_px)

    @cached_property
    def _noise(self) -> UInt8[np.ndarray, "side side 3"]:
        return noise_plate(self._scene_rng(2), self.size_px, self.lighting.noise_gray_levels)

    @cached_property
    def _phase(self) -> float:
        return float(self._scene_rng(3).uniform(0, 2 * np.pi))

    def _scene_rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, SCENE, number])
