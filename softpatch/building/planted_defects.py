"""Artificial defects of known kind, size and contrast in a good frame: what a bank finds of them says what it can see.

Sizes are the longer side of what is planted, in pixels of the frame. Contrasts are gray levels, drawn from what the
frame itself shows: three quarters to two and a half times the deviation of its gray levels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Int64, UInt8

DefectKind = Literal["scratch", "stain", "dent", "patch", "blur"]
KINDS: tuple[DefectKind, ...] = ("scratch", "stain", "dent", "patch", "blur")

SMALLEST_PX = 2
LOW_CONTRAST, HIGH_CONTRAST = 0.75, 2.5
LEAST_DEVIATION = 8.0
"""Gray levels that a frame is taken to vary by at least: on a plain surface contrasts are those of a faint mark."""
PLACES_TRIED = 4

Image = UInt8[np.ndarray, "h w 3"]
_Square = UInt8[np.ndarray, "side side 3"]


@dataclass(frozen=True)
class PlantedDefect:
    """What was planted: its kind, the longer side in pixels of the frame, and its place, x0, y0, x1, y1 in them."""

    kind: DefectKind
    size_px: float
    box_xyxy: tuple[int, int, int, int]


def plant(
    image: Image,
    kinds: Sequence[DefectKind],
    sizes_px: Sequence[float],
    *,
    rng: np.random.Generator,
    inspected: UInt8[np.ndarray, "h w"] | None = None,
) -> tuple[Image, tuple[PlantedDefect, ...]]:
    """A copy of the image with one defect in each quarter, of that kind and size (at most a quarter's).

    Each lies at a random place that shows more than a plain ground, and wholly where `inspected` is not 0; a quarter
    without such a place has none.
    """
    height, width = image.shape[:2]
    contrast = max(float(image.std()), LEAST_DEVIATION)
    planted, defects = image.copy(), []
    for (x, y), kind, size_px in zip(_QUARTERS, kinds, sizes_px, strict=True):
        quarter_wh = max(1, width // 2), max(1, height // 2)
        quarter = (x * (width - quarter_wh[0]), y * (height - quarter_wh[1]), *quarter_wh)
        side = min(max(SMALLEST_PX, round(size_px)), *quarter_wh)
        place = _place(image, quarter, side, rng, inspected)
        if place is None:
            continue
        left, top = place
        inside = (slice(top, top + side), slice(left, left + side))
        planted[inside] = _DRAWN[kind](image, inside, contrast * rng.uniform(LOW_CONTRAST, HIGH_CONTRAST), rng)
        defects.append(PlantedDefect(kind, float(side), (left, top, left + side, top + side)))
    return planted, tuple(defects)


_QUARTERS = ((0, 0), (1, 0), (0, 1), (1, 1))
DEFECTS_A_FRAME = len(_QUARTERS)
"""That are planted into one frame, far enough from each other to be found or missed each for itself."""


def _place(
    image: Image,
    quarter_xywh: tuple[int, int, int, int],
    side: int,
    rng: np.random.Generator,
    inspected: UInt8[np.ndarray, "h w"] | None,
) -> tuple[int, int] | None:
    """Of a few random places the one where the frame varies most: parts lie on grounds that nobody inspects.

    None where no place is wholly inspected.
    """
    x0, y0, width, height = quarter_xywh
    if inspected is None:
        places = [
            (x0 + int(rng.integers(0, width - side + 1)), y0 + int(rng.integers(0, height - side + 1)))
            for _ in range(PLACES_TRIED)
        ]
    else:
        free = _free_places(inspected[y0 : y0 + height, x0 : x0 + width], side)
        if not len(free):
            return None
        drawn = free[rng.integers(0, len(free), PLACES_TRIED)]
        places = [(x0 + int(x), y0 + int(y)) for y, x in drawn.tolist()]
    around = max(side, min(height, width) // 4)

    return max(places, key=lambda place: _variation(_around(image, place, side, around)))


def _around(image: Image, place: tuple[int, int], side: int, around: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """A square of `around` pixels a side about the middle of one of `side` at that place, as far as the image goes."""
    x, y = (max(0, at + side // 2 - around // 2) for at in place)
    return image[y : y + around, x : x + around]


def _variation(pixels: Image) -> int:
    """The variance of all values, times the square of their number: exact, so that no two equal grounds differ."""
    total, squares = (int(value) for value in (sum(cv2.sumElems(pixels)), cv2.norm(pixels, cv2.NORM_L2SQR)))
    return pixels.size * squares - total * total


def _free_places(inspected: UInt8[np.ndarray, "h w"], side: int) -> Int64[np.ndarray, "places 2"]:
    """Row and column of the upper left corner of every square of that side that is inspected to the last pixel."""
    total = np.asarray(cv2.integral((inspected > 0).astype(np.uint8)))
    squares = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.argwhere(squares == side * side)


_Inside = tuple[slice, slice]


def _shaded(image: Image, inside: _Inside, change: Float[np.ndarray, "side side"]) -> _Square:
    """The part of the image with so many gray levels added to every channel."""
    return np.asarray(np.clip(image[inside] + change[..., None], 0, 255).astype(np.uint8))


def _axes(side: int) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side"]]:
    """Horizontal and vertical place of each pixel, from -1 to 1 over the part."""
    steps = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    x, y = np.meshgrid(steps, steps)
    return x, y


def _scratch(image: Image, inside: _Inside, contrast: float, rng: np.random.Generator) -> _Square:
    """A line through the middle of the part, a twelfth of its length wide and at least one pixel, light or dark."""
    side = inside[0].stop - inside[0].start
    x, y = _axes(side)
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.3)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    distance = np.abs(across - bend * (along**2 - 0.5)) * side / 2
    half = max(0.5, side / 24)
    line = np.clip(half + 0.5 - distance, 0, 1) * (np.abs(along) <= 1)
    return _shaded(image, inside, rng.choice([-1, 1]) * contrast * line)


def _stain(image: Image, inside: _Inside, contrast: float, rng: np.random.Generator) -> _Square:
    """A soft blot with an uneven edge, half as strong as a scratch, light or dark."""
    side = inside[0].stop - inside[0].start
    x, y = _axes(side)
    angle = np.arctan2(y, x)
    waves = sum(rng.uniform(0, 0.12) * np.cos(order * angle + rng.uniform(0, 2 * np.pi)) for order in (2, 3, 5))
    radius = np.hypot(x, y * rng.uniform(1.0, 1.8)) / (0.8 + waves)
    return _shaded(image, inside, rng.choice([-0.5, 0.5]) * contrast / (1 + np.exp(12 * (radius - 0.85))))


def _dent(image: Image, inside: _Inside, contrast: float, rng: np.random.Generator) -> _Square:
    """Light on one side, dark on the other, as a hollow under a lamp."""
    x, y = _axes(inside[0].stop - inside[0].start)
    angle = rng.uniform(0, 2 * np.pi)
    slope = x * np.cos(angle) + y * np.sin(angle)
    return _shaded(image, inside, 2 * contrast * slope * np.exp(-2.5 * (x**2 + y**2)))


def _patch(image: Image, inside: _Inside, _contrast: float, rng: np.random.Generator) -> _Square:
    """Another part of the same frame, with a shape of its own (cut and paste)."""
    height, width = image.shape[:2]
    side = inside[0].stop - inside[0].start
    x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
    size_hw = tuple(max(1, round(side * share)) for share in _shape(rng))
    pasted = image[inside].copy()
    pasted[: size_hw[0], : size_hw[1]] = image[y : y + size_hw[0], x : x + size_hw[1]]
    return pasted


def _shape(rng: np.random.Generator) -> tuple[float, float]:
    """Shares of the longer side: one side is that, the other at least a third of it."""
    shorter = float(rng.uniform(1 / 3, 1))
    return (1.0, shorter) if rng.random() < 0.5 else (shorter, 1.0)  # noqa: PLR2004 - either is as likely


def _blur(image: Image, inside: _Inside, _contrast: float, _rng: np.random.Generator) -> _Square:
    """A part that lost its texture: a Gaussian of a sixth of its size, in a disc."""
    side = inside[0].stop - inside[0].start
    sigma = max(1.0, side / 6)
    margin = int(3 * sigma)
    rows = slice(max(0, inside[0].start - margin), inside[0].stop + margin)
    columns = slice(max(0, inside[1].start - margin), inside[1].stop + margin)
    blurred = cv2.GaussianBlur(np.ascontiguousarray(image[rows, columns]), (0, 0), sigma)
    top, left = inside[0].start - rows.start, inside[1].start - columns.start
    x, y = _axes(side)
    disc = np.clip((1 - np.hypot(x, y)) * side / 2, 0, 1)[..., None]
    mixed = disc * blurred[top : top + side, left : left + side] + (1 - disc) * image[inside]
    return np.asarray(np.rint(mixed).astype(np.uint8))


_DRAWN: Mapping[DefectKind, Callable[[Image, _Inside, float, np.random.Generator], _Square]] = MappingProxyType(
    {"scratch": _scratch, "stain": _stain, "dent": _dent, "patch": _patch, "blur": _blur}
)
