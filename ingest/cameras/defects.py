"""Defects of the simulator's parts, drawn on the part before it is placed: each with the mask of what it changed.

`severity` runs from 0 (a person has to look twice) to 1 (nobody would ship it) and moves size and contrast together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np

from ingest.cameras.parts import DESIGN_SIZE_PX
from ingest.cameras.surfaces import relief, smooth_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, UInt8

    from ingest.cameras.parts import Part
    from ingest.cameras.surfaces import Picture

    Shade = UInt8[np.ndarray, "height width"]
    Drawn = tuple[Picture, Shade]
    """Colour and alpha of a part that is no longer good."""

DefectType = Literal["scratch", "dent", "missing_hole", "stain", "crack", "burr", "chip", "rust"]
DEFECT_TYPES: tuple[DefectType, ...] = get_args(DefectType)

OIL_BGR = (38.0, 62.0, 84.0)
RUST_BGR = (34.0, 68.0, 124.0)
PIT_BGR = (24.0, 36.0, 58.0)
BARE_METAL_BGR = (226.0, 226.0, 222.0)
SHADOW_BGR = (30.0, 30.0, 30.0)
BLIND_BGR = (66.0, 68.0, 68.0)
BLIND = 0.4
"""Severity below which a missing hole is one not drilled through."""
NO_SATELLITES = 2.0
"""Radii beyond which a blot has no more flecks."""
GROUND = 55.0
"""Gray level of the belt, against which an outline shows."""
VISIBLE_GRAY_LEVELS = 6.0
"""A larger change belongs to the mask; the sensor's noise has a deviation of about 2."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """One part as it lies on the belt: its picture, its outline, and where it is defective (0 to 255)."""

    colour: Picture
    alpha: Shade
    mask: Shade


def flawless(part: Part, finish: int) -> Specimen:
    """A good part. Its arrays are the part's own: draw on copies."""
    return Specimen(part.finishes[finish], part.alpha, np.zeros_like(part.alpha))


def defective(part: Part, finish: int, kind: DefectType, severity: float, rng: np.random.Generator) -> Specimen:
    """A part with one defect at a place, and of a form, that `rng` chooses."""
    colour, alpha = _DRAW[kind](part, finish, severity, rng)
    return Specimen(colour, alpha, _changed(part, finish, colour, alpha))


def _changed(part: Part, finish: int, colour: Picture, alpha: Shade) -> Shade:
    """Where a part on a dark ground does not look like the good one; gaps that a person would paint over are closed."""
    bad = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(np.float32)
    good = cv2.cvtColor(part.finishes[finish], cv2.COLOR_BGR2GRAY).astype(np.float32)
    was, now = part.alpha / np.float32(255), alpha / np.float32(255)
    change = np.abs((bad - GROUND) * now - (good - GROUND) * was)
    visible = np.where(change > min(VISIBLE_GRAY_LEVELS, 0.5 * float(change.max())), 255, 0).astype(np.uint8)
    closed: Shade = cv2.morphologyEx(visible, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return closed


def _scratch(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """A curved score: bare metal, with the furrow's shaded side along it."""
    size = part.alpha.shape[0]
    length = size * (0.05 + 0.22 * severity) * rng.uniform(0.8, 1.25)
    start, heading = _surface_point(part, rng, margin_px=10), rng.uniform(0, 2 * np.pi)
    steps = np.linspace(0, 1, 24)
    angles = heading + rng.normal(0, 0.5) * steps
    path = start + np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * length / 24, axis=0)
    width = 1 if severity < 0.6 else 2  # noqa: PLR2004 -- pixels follow severity
    core = _line(size, path, width)
    shaded = _line(size, np.add(path, (1.3, 1.5)), width)
    strength = 0.3 + 0.65 * severity
    colour = _mixed(part.finishes[finish], shaded, SHADOW_BGR, 0.75 * strength)
    colour = _mixed(colour, core, BARE_METAL_BGR, strength)
    return colour, part.alpha


def _dent(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """A hollow, seen only by how its slopes face the lamp."""
    size = part.alpha.shape[0]
    x, y = _surface_point(part, rng, margin_px=14)
    radius = size * (0.012 + 0.026 * severity)
    turn, squeeze = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    along = (columns - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = (rows - y) * np.cos(turn) - (columns - x) * np.sin(turn)
    reach = (along**2 + (across / squeeze) ** 2) / radius**2
    hollow = (-radius * (0.18 + 0.55 * severity) * np.exp(-reach)).astype(np.float32)
    tone = 1 + relief(hollow, strength=1.1) - 0.1 * severity * np.exp(-reach)
    colour = np.clip(part.finishes[finish] * tone[..., None], 0, 255).astype(np.uint8)
    return colour, part.alpha


def _missing_hole(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """A hole not drilled through: from a blind bottom (subtle) to untouched metal (plain)."""
    hole = part.holes[int(rng.integers(len(part.holes)))]
    (x, y), radius, size = hole.centre_xy_px, hole.radius_px, part.alpha.shape[0]
    mouth = _disc(size, (x, y), radius)
    inside = _disc(size, (x, y), radius + 7) > 0
    alpha = np.where(inside, part.undrilled_alpha, part.alpha)
    if severity < BLIND:
        bottom = _disc(size, (x - radius * 0.13, y - radius * 0.17), radius * 0.97)
        colour = _mixed(part.finishes[finish], cv2.min(bottom, mouth), BLIND_BGR, 0.95 - 0.5 * severity)
        return colour, alpha
    return np.where(inside[..., None], part.undrilled[finish], part.finishes[finish]), alpha


def _stain(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """Oil or coolant dried on the face: a soft blot with a darker rim."""
    size = part.alpha.shape[0]
    blot = _blot(part, rng, radius_px=size * (0.025 + 0.05 * severity), margin_px=12)
    rim = np.clip(4 * blot * (1 - blot), 0, 1)
    weight = (blot * 0.55 + rim * 0.35) * (0.35 + 0.6 * severity)
    colour = _mixed(part.finishes[finish], _shade(weight), OIL_BGR, 1.0)
    return colour, part.alpha


def _rust(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """Corrosion: speckles that grow together towards the middle."""
    size = part.alpha.shape[0]
    blot = _blot(part, rng, radius_px=size * (0.02 + 0.05 * severity), margin_px=8)
    grain = smooth_noise(rng, (size, size), sigma_x_px=1.6, sigma_y_px=1.6)
    weight = np.clip((grain + 2.4 * blot - 1.5) * 1.4, 0, 1) * (blot > 0.08) * (0.45 + 0.45 * severity)  # noqa: PLR2004 -- no stray speck
    colour = _mixed(part.finishes[finish], _shade(weight), RUST_BGR, 1.0)
    pitting = np.clip(smooth_noise(rng, (size, size), sigma_x_px=1.2, sigma_y_px=1.2), 0, 1) * weight
    colour = _mixed(colour, _shade(pitting), PIT_BGR, 0.8)
    return colour, part.alpha


def _crack(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """A jagged dark line that runs from an edge into the metal, with a branch."""
    size = part.alpha.shape[0]
    start, outward = _edge_point(part, rng)
    heading = np.arctan2(-outward[1], -outward[0]) + rng.normal(0, 0.3)
    length = size * (0.05 + 0.13 * severity)
    path = _jagged(start, heading, length, rng)
    line = _line(size, path, 1 if severity < 0.5 else 2)  # noqa: PLR2004 -- pixels follow severity
    branch = _jagged(path[len(path) // 2], heading + rng.choice([-0.8, 0.8]), length * 0.4, rng)
    line = cv2.max(line, _line(size, branch, 1))
    lit = _line(size, np.add(path, (-1.2, -1.2)), 1)
    colour = _mixed(part.finishes[finish], lit, BARE_METAL_BGR, 0.25 + 0.2 * severity)
    colour = _mixed(colour, line, SHADOW_BGR, 0.5 + 0.45 * severity)
    return colour, part.alpha


def _burr(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """Metal torn over an edge: bright ragged teeth beyond the outline."""
    size = part.alpha.shape[0]
    start, outward = _edge_point(part, rng)
    reach = size * (0.008 + 0.018 * severity)
    teeth = np.zeros((size, size), np.uint8)
    along = np.array([-outward[1], outward[0]])
    for step in np.arange(-1.6, 1.7, 0.4):
        foot = start + along * step * reach - outward * 2
        tip = foot + outward * (2 + reach * rng.uniform(0.35, 1.0)) + along * rng.normal(0, 0.25) * reach
        corners = np.array([foot - along * reach * 0.3, tip, foot + along * reach * 0.3])
        cv2.fillPoly(teeth, [_fixed_point(corners)], 255, cv2.LINE_AA, 4)
    colour = _mixed(part.finishes[finish], teeth, (205.0, 206.0, 204.0), 0.95)
    shaded = cv2.warpAffine(teeth, np.array([[1, 0, 1.6], [0, 1, 1.9]], np.float32), (size, size))
    colour = _mixed(colour, cv2.subtract(shaded, teeth), SHADOW_BGR, 0.5)
    return colour, cv2.max(part.alpha, teeth)


def _chip(part: Part, finish: int, severity: float, rng: np.random.Generator) -> Drawn:
    """A piece broken out of an edge, with the bright face of the break."""
    size = part.alpha.shape[0]
    start, outward = _edge_point(part, rng)
    radius = size * (0.011 + 0.026 * severity)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 11))
    ragged = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.65, 1.15, (11, 1))
    centre = start + outward * radius * 0.25
    gone, face = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    cv2.fillPoly(face, [_fixed_point(centre + ragged * (radius + 2.5))], 255, cv2.LINE_AA, 4)
    cv2.fillPoly(gone, [_fixed_point(centre + ragged * radius)], 255, cv2.LINE_AA, 4)
    colour = _mixed(part.finishes[finish], face, BARE_METAL_BGR, 0.55)
    colour = _mixed(
        colour, cv2.warpAffine(face, np.array([[1, 0, -2], [0, 1, -2]], np.float32), (size, size)), SHADOW_BGR, 0.25
    )
    return colour, cv2.subtract(part.alpha, gone)


_DRAW: dict[DefectType, Callable[[Part, int, float, np.random.Generator], Drawn]] = {
    "scratch": _scratch,
    "dent": _dent,
    "missing_hole": _missing_hole,
    "stain": _stain,
    "crack": _crack,
    "burr": _burr,
    "chip": _chip,
    "rust": _rust,
}


def _surface_point(part: Part, rng: np.random.Generator, *, margin_px: int) -> Float32[np.ndarray, "xy=2"]:
    """A place on the metal, a margin (pixels of the design size) from every edge, or as far as the part is wide."""
    depth = cv2.distanceTransform((part.alpha == 255).astype(np.uint8), cv2.DIST_L2, 3)  # noqa: PLR2004 -- full cover
    margin = margin_px * part.alpha.shape[0] / DESIGN_SIZE_PX
    places = np.flatnonzero(depth > min(margin, float(depth.max()) / 2))
    row, column = divmod(int(places[rng.integers(len(places))]), part.alpha.shape[1])
    return np.array([column, row], np.float32)


def _edge_point(
    part: Part, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "xy=2"], Float32[np.ndarray, "xy=2"]]:
    """A place on an edge of the metal, hole or outline, and the direction out of the metal there."""
    solid = (part.alpha > 127).astype(np.uint8)  # noqa: PLR2004 -- half covered
    edges = np.flatnonzero(solid - cv2.erode(solid, np.ones((3, 3), np.uint8)))
    row, column = divmod(int(edges[rng.integers(len(edges))]), part.alpha.shape[1])
    soft = cv2.GaussianBlur(part.alpha[max(0, row - 8) : row + 9, max(0, column - 8) : column + 9], (0, 0), 3)
    middle = (min(row, 8), min(column, 8))
    slope = np.array([cv2.Sobel(soft, cv2.CV_32F, *order)[middle] for order in ((1, 0), (0, 1))], np.float32)
    return np.array([column, row], np.float32), (-slope / (np.linalg.norm(slope) + 1e-6)).astype(np.float32)


def _jagged(
    start: Float32[np.ndarray, "xy=2"], heading: float, length_px: float, rng: np.random.Generator
) -> Float32[np.ndarray, "points 2"]:
    angles = heading + rng.normal(0, 0.55, 12)
    moves = np.stack([np.cos(angles), np.sin(angles)], 1) * length_px / 12
    drawn: Float32[np.ndarray, "points 2"] = (
        start + np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
    ).astype(np.float32)
    return drawn


def _blot(part: Part, rng: np.random.Generator, *, radius_px: float, margin_px: int) -> Float32[np.ndarray, "h w"]:
    """A ragged soft blob on the metal, 0 to 1."""
    size = part.alpha.shape[0]
    x, y = _surface_point(part, rng, margin_px=margin_px)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    stretch = rng.uniform(0.65, 1.4)
    distance = np.hypot((columns - x) * stretch, (rows - y) / stretch) / radius_px
    ragged = smooth_noise(rng, (size, size), sigma_x_px=radius_px / 2.2, sigma_y_px=radius_px / 2.2)
    ragged = 0.22 * ragged * (distance < NO_SATELLITES)
    blot: Float32[np.ndarray, "h w"] = np.clip((1.05 - distance + ragged) * 3, 0, 1).astype(np.float32)
    return blot


def _mixed(colour: Picture, weight: Shade, ink_bgr: tuple[float, float, float], strength: float) -> Picture:
    """The picture with ink laid over it where weight (0 to 255) says, only inside the weight's bounding box."""
    x, y, width, height = cv2.boundingRect(weight)
    mixed = colour.copy()
    box = (slice(y, y + height), slice(x, x + width))
    share = weight[box].astype(np.float32)[..., None] * np.float32(strength / 255)
    mixed[box] = (mixed[box] * (1 - share) + np.array(ink_bgr, np.float32) * share).astype(np.uint8)
    return mixed


def _line(size: int, path_xy: Float32[np.ndarray, "points 2"], width_px: int) -> Shade:
    canvas = np.zeros((size, size), np.uint8)
    cv2.polylines(
        canvas, [_fixed_point(path_xy)], isClosed=False, color=255, thickness=width_px, lineType=cv2.LINE_AA, shift=4
    )
    return canvas


def _disc(size: int, centre_xy: tuple[float, float], radius: float) -> Shade:
    canvas = np.zeros((size, size), np.uint8)
    cv2.circle(
        canvas, (round(centre_xy[0] * 16), round(centre_xy[1] * 16)), round(radius * 16), 255, -1, cv2.LINE_AA, 4
    )
    return canvas


def _fixed_point(points_xy: Float32[np.ndarray, "points 2"]) -> np.ndarray:
    """Points for OpenCV's drawing, in sixteenths of a pixel (`shift=4`)."""
    return np.round(points_xy * 16).astype(np.int32)


def _shade(weight: Float32[np.ndarray, "h w"]) -> Shade:
    drawn: Shade = (np.clip(weight, 0, 1) * 255).astype(np.uint8)
    return drawn
