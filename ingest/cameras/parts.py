"""The parts of the simulator's line: a turned ring, a milled bracket and a spur gear, each with its holes.

A shape is a signed distance (pixels, negative inside the metal) sampled at twice the frame's resolution; edges get
chamfers from it, and holes show their wall on the side away from the lamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np

from ingest.cameras.surfaces import bow_tie, brushed, relief, turned

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import UInt8

    from ingest.cameras.surfaces import Picture, Plane

Variant = Literal["ring", "bracket", "gear"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

FINISHES = 8
"""Surfaces drawn per part: no two neighbours on a line carry the same grinding marks."""
SUPERSAMPLING = 2
STEEL_BGR = (168.0, 166.0, 163.0)
DESIGN_SIZE_PX = 512
"""Shapes are drawn for this frame size and scaled to the requested one."""


@dataclass(frozen=True)
class Hole:
    """A round hole of a part."""

    centre_xy_px: tuple[float, float]
    radius_px: float


@dataclass(frozen=True, eq=False)
class Part:
    """A part seen from above, in every finish, and the same part with its holes not drilled."""

    finishes: tuple[Picture, ...]
    alpha: UInt8[np.ndarray, "height width"]
    """How much of a pixel is metal: 0 to 255."""
    undrilled: tuple[Picture, ...]
    undrilled_alpha: UInt8[np.ndarray, "height width"]
    holes: tuple[Hole, ...]
    """Those that a blunt drill can miss."""


@dataclass(frozen=True)
class _Grid:
    """Pixel centres of the drawing, in design pixels from its centre."""

    x: Plane
    y: Plane

    @classmethod
    def of(cls, size_px: int) -> _Grid:
        y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32) - (size_px - 1) / 2
        scale = np.float32(DESIGN_SIZE_PX / size_px)
        return cls(x * scale, y * scale)

    def circle(self, centre_xy: tuple[float, float], radius: float) -> Plane:
        return np.hypot(self.x - centre_xy[0], self.y - centre_xy[1]) - np.float32(radius)

    def box(self, centre_xy: tuple[float, float], half_wh: tuple[float, float], radius: float) -> Plane:
        dx = np.abs(self.x - centre_xy[0]) - (half_wh[0] - radius)
        dy = np.abs(self.y - centre_xy[1]) - (half_wh[1] - radius)
        outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
        return (outside + np.minimum(np.maximum(dx, dy), 0) - radius).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """A shape before it is finished: metal without its small holes, the holes, and steps of its face (pixels)."""

    body: Plane
    holes: tuple[Hole, ...]
    steps: Plane
    finish: Callable[[np.random.Generator, int], Plane]


@lru_cache(maxsize=8)
def part(variant: Variant, size_px: int) -> Part:
    """The part of this variant, drawn for frames of `size_px`. The same arguments give the same pixels."""
    large = size_px * SUPERSAMPLING
    grid = _Grid.of(large)
    drawing = _DRAWINGS[variant](grid)
    drilled = drawing.body
    walls = drawing.body
    for hole in drawing.holes:
        cut = grid.circle(hole.centre_xy_px, hole.radius_px)
        drilled = np.maximum(drilled, -cut)
        away = (hole.centre_xy_px[0] - 2.0, hole.centre_xy_px[1] - 2.6)
        walls = np.maximum(walls, -grid.circle(away, hole.radius_px * 0.97))
    scale = size_px / DESIGN_SIZE_PX
    faces = _faces(variant, drawing, size_px)
    return Part(
        finishes=_coloured(faces, drawing.steps, drilled, size_px),
        alpha=_alpha(walls, size_px),
        undrilled=_coloured(faces, drawing.steps, drawing.body, size_px),
        undrilled_alpha=_alpha(drawing.body, size_px),
        holes=tuple(_placed(hole, scale, size_px) for hole in drawing.holes),
    )


def _placed(hole: Hole, scale: float, size_px: int) -> Hole:
    x, y = hole.centre_xy_px
    middle = (size_px - 1) / 2
    return Hole((middle + x * scale, middle + y * scale), hole.radius_px * scale)


def _alpha(distance: Plane, size_px: int) -> UInt8[np.ndarray, "height width"]:
    coverage = np.clip(0.5 - distance * SUPERSAMPLING, 0, 1) * 255
    return cv2.resize(coverage, (size_px, size_px), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _faces(variant: Variant, drawing: _Drawing, size_px: int) -> tuple[Plane, ...]:
    rng = np.random.default_rng([VARIANTS.index(variant), 20])
    return tuple(_face(drawing, size_px, rng) for _ in range(FINISHES))


def _face(drawing: _Drawing, size_px: int, rng: np.random.Generator) -> Plane:
    """The tone of a flat face: grinding marks under the lamp, each finish a little different."""
    marks = drawing.finish(rng, size_px)
    sheen = bow_tie(size_px, float(rng.normal(-0.9, 0.06)))
    if drawing.finish is brushed:  # straight marks mirror the lamp as a broad band across them
        ramp = np.linspace(-1, 1, size_px, dtype=np.float32)
        sheen = np.exp(-((ramp[:, None] * 0.9 + ramp[None] * 0.45 - rng.normal(0, 0.08)) ** 2) / 0.16)
    return ((0.74 + 0.42 * sheen) * (1 + 0.045 * marks) * rng.normal(1, 0.012)).astype(np.float32)


def _shrunk(plane: Plane, size_px: int) -> Plane:
    small: Plane = cv2.resize(plane, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return small


def _coloured(faces: tuple[Plane, ...], steps: Plane, distance: Plane, size_px: int) -> tuple[Picture, ...]:
    chamfer = np.clip(-distance / 5.0, 0, 1)
    lit = _shrunk(relief((5.0 * chamfer + steps) * SUPERSAMPLING, strength=0.62), size_px)
    wall = _shrunk(np.clip(distance / 3.0, 0, 1), size_px)  # beyond the edge only the wall of a hole is seen
    tones = ((face + lit) * (1 - wall) + (0.95 - 0.3 * wall) * wall for face in faces)
    steel = np.array(STEEL_BGR, np.float32)
    return tuple(np.clip(tone[..., None] * steel, 0, 255).astype(np.uint8) for tone in tones)


def _ring(grid: _Grid) -> _Drawing:
    """A flange: bore, counterbore, six bolt holes, a locating flat."""
    body = np.maximum(grid.circle((0, 0), 172), -grid.circle((0, 0), 66))
    body = np.maximum(body, grid.y - 163)
    steps = -5 * np.clip((88 - np.hypot(grid.x, grid.y)) / 2, 0, 1)
    groove = np.abs(np.hypot(grid.x, grid.y) - 156)
    steps = steps - 2.2 * np.clip(1 - groove / 2.6, 0, 1)
    angles = np.deg2rad(np.arange(6) * 60 + 30)
    holes = tuple(Hole((float(122 * np.cos(a)), float(122 * np.sin(a))), 15.0) for a in angles)
    return _Drawing(body.astype(np.float32), holes, steps.astype(np.float32), turned)


def _bracket(grid: _Grid) -> _Drawing:
    """A plate: four mounting holes, a slot, a milled pocket with a boss, an engraved number."""
    body = grid.box((0, 0), (196, 138), 26)
    body = np.maximum(body, -grid.box((-112, 0), (15, 62), 15))
    body = np.maximum(body, -grid.box((196, 0), (38, 44), 12))
    pocket = grid.box((34, 8), (92, 66), 18)
    boss = grid.circle((34, 8), 40)
    steps = -6 * np.clip(-np.maximum(pocket, -boss) / 2, 0, 1)
    steps = steps - 1.6 * _engraving(grid, "PL-40  B", (-62, -84))
    body = np.maximum(body, -grid.circle((34, 8), 20))
    holes = tuple(Hole((float(x), float(y)), 15.0) for x in (-160, 150) for y in (-100, 100))
    return _Drawing(body.astype(np.float32), holes, steps.astype(np.float32), brushed)


def _gear(grid: _Grid) -> _Drawing:
    """A spur gear: 24 teeth, a raised hub, a bore with keyway, five lightening holes."""
    radius, angle = np.hypot(grid.x, grid.y), np.arctan2(grid.y, grid.x)
    flank = np.clip(1.9 * np.sin(24 * angle), -1, 1)
    body = np.maximum((radius - 172 - 13 * flank) * 0.8, -grid.circle((0, 0), 34))
    body = np.maximum(body, -grid.box((0, -36), (9, 12), 1.5))
    web = np.clip((radius - 62) / 2.5, 0, 1) * np.clip((146 - radius) / 2.5, 0, 1)
    angles = np.deg2rad(np.arange(5) * 72 - 90)
    holes = tuple(Hole((float(104 * np.cos(a)), float(104 * np.sin(a))), 24.0) for a in angles)
    return _Drawing(body.astype(np.float32), holes, (-6 * web).astype(np.float32), turned)


def _engraving(grid: _Grid, text: str, at_xy: tuple[float, float]) -> Plane:
    """Text as a depth of 0 to 1; `at_xy` is its lower left corner in design pixels from the centre."""
    size = grid.x.shape[0]
    scale = size / DESIGN_SIZE_PX
    plate = np.zeros((size, size), np.uint8)
    origin = (int((at_xy[0] + DESIGN_SIZE_PX / 2) * scale), int((at_xy[1] + DESIGN_SIZE_PX / 2) * scale))
    cv2.putText(plate, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.9 * scale, 255, int(2.4 * scale), cv2.LINE_AA)
    return cv2.GaussianBlur(plate.astype(np.float32) / 255, (0, 0), 0.5 * scale)


_DRAWINGS: dict[Variant, Callable[[_Grid], _Drawing]] = {"ring": _ring, "bracket": _bracket, "gear": _gear}
