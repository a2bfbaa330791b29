"""What surfaces look like: noise, brushed metal, edges that catch the light, a conveyor belt and its rails.

Everything is drawn once, when a simulator starts. Heights and distances are in pixels; the light comes from the upper
left; colours are BGR, as OpenCV encodes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    Plane = Float32[np.ndarray, "height width"]
    Picture = UInt8[np.ndarray, "height width 3"]

LIGHT_XY = (-0.62, -0.78)
"""From the part towards the lamp, on the image plane: x right, y down."""
BELT_BGR = (62.0, 70.0, 56.0)
RAIL_BGR = (176.0, 172.0, 166.0)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], *, sigma_x_px: float, sigma_y_px: float, wrap: bool = False
) -> Plane:
    """Gaussian noise of mean 0 and deviation 1, as coarse as its sigmas say; wrapped, it can be tiled in x."""
    step_x, step_y = max(1, int(sigma_x_px / 2)), max(1, int(sigma_y_px / 2))  # coarse noise is drawn coarse
    reach = 8 if wrap else 0
    small: np.ndarray = rng.standard_normal((-(-shape[0] // step_y) + 1, -(-shape[1] // step_x)), dtype=np.float32)
    small = cv2.copyMakeBorder(small, 0, 0, reach, reach, cv2.BORDER_WRAP) if wrap else small
    sigmas = (max(sigma_x_px / step_x, 0.01), max(sigma_y_px / step_y, 0.01))
    small = cv2.GaussianBlur(small, (0, 0), sigmaX=sigmas[0], sigmaY=sigmas[1])
    width = shape[1] + 2 * reach * step_x
    noise = cv2.resize(small, (width, small.shape[0] * step_y), interpolation=cv2.INTER_LINEAR)
    noise = noise[: shape[0], reach * step_x : reach * step_x + shape[1]]
    drawn: Plane = ((noise - noise.mean()) / (noise.std() + 1e-6)).astype(np.float32)
    return drawn


def brushed(rng: np.random.Generator, size_px: int) -> Plane:
    """Straight grinding marks along x, deviation about 1."""
    fine = smooth_noise(rng, (size_px, size_px), sigma_x_px=size_px / 9, sigma_y_px=0.55)
    coarse = smooth_noise(rng, (size_px, size_px), sigma_x_px=size_px / 4, sigma_y_px=2.2)
    return 0.75 * fine + 0.45 * coarse


def turned(rng: np.random.Generator, size_px: int) -> Plane:
    """Circular marks of a lathe about the centre, deviation about 1."""
    angles, radii = 2 * size_px, size_px
    marks = smooth_noise(rng, (radii, angles), sigma_x_px=angles / 7, sigma_y_px=0.7, wrap=True)
    marks = 0.8 * marks + 0.4 * smooth_noise(rng, (radii, angles), sigma_x_px=angles / 3, sigma_y_px=3, wrap=True)
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32) - (size_px - 1) / 2
    column = (np.arctan2(y, x) / (2 * np.pi) + 0.5) * (angles - 1)
    row = np.hypot(x, y) / (size_px * 0.72) * (radii - 1)
    return cv2.remap(marks, column.astype(np.float32), row.astype(np.float32), cv2.INTER_LINEAR)


def bow_tie(size_px: int, angle: float) -> Plane:
    """The double wedge of light that a turned face shows, 0 to 1; `angle` in radians."""
    y, x = np.mgrid[0:size_px, 0:size_px].astype(np.float32) - (size_px - 1) / 2
    along = np.cos(np.arctan2(y, x) - angle) ** 2
    drawn: Plane = (0.75 * along**5 + 0.25 * along).astype(np.float32)
    return drawn


def relief(height_px: Plane, *, strength: float) -> Plane:
    """How much brighter (above 0) or darker each pixel is for facing the lamp or turning away from it."""
    slope_x = cv2.Sobel(height_px, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(height_px, cv2.CV_32F, 0, 1, scale=1 / 8)
    towards = -(slope_x * LIGHT_XY[0] + slope_y * LIGHT_XY[1])
    drawn: Plane = (strength * towards / np.sqrt(1 + slope_x**2 + slope_y**2)).astype(np.float32)
    return drawn


def belt(rng: np.random.Generator, size_px: int, *, lengths: int = 4) -> Picture:
    """A textured rubber belt, `lengths` frames long, whose right end meets its left one."""
    shape = (size_px, size_px * lengths)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    pitch = 8.0 * size_px / 512
    weave = np.sin(2 * np.pi * x / pitch) * np.sin(2 * np.pi * y / pitch)
    wear = smooth_noise(rng, shape, sigma_x_px=size_px / 3, sigma_y_px=size_px / 28, wrap=True)
    grain = smooth_noise(rng, shape, sigma_x_px=0.8, sigma_y_px=0.8, wrap=True)
    blotches = smooth_noise(rng, shape, sigma_x_px=size_px / 20, sigma_y_px=size_px / 20, wrap=True)
    tone = 1 + 0.055 * weave + 0.05 * wear + 0.05 * grain + 0.035 * blotches
    tone += _dust(rng, shape)
    drawn: Picture = np.clip(tone[..., None] * np.array(BELT_BGR, np.float32), 0, 255).astype(np.uint8)
    return drawn


def rail(rng: np.random.Generator, size_px: int) -> Picture:
    """An aluminium guide rail along x, a fifteenth of the frame high: lit top edge, groove, dark foot."""
    rows = max(4, size_px // 15)
    depth = np.linspace(0, 1, rows, dtype=np.float32)
    profile = 0.78 + 0.3 * np.exp(-((depth - 0.16) ** 2) / 0.006) - 0.42 * np.exp(-((depth - 0.55) ** 2) / 0.004)
    profile -= 0.5 * np.clip((depth - 0.86) / 0.14, 0, 1)
    marks = smooth_noise(rng, (rows, size_px), sigma_x_px=size_px / 6, sigma_y_px=0.5)
    tone = profile[:, None] * (1 + 0.03 * marks)
    drawn: Picture = np.clip(tone[..., None] * np.array(RAIL_BGR, np.float32), 0, 255).astype(np.uint8)
    return drawn


def _dust(rng: np.random.Generator, shape: tuple[int, int]) -> Plane:
    specks = np.zeros(shape, np.float32)
    for _ in range(shape[1] // 12):
        centre = (int(rng.integers(4, shape[1] - 4)), int(rng.integers(4, shape[0] - 4)))
        cv2.circle(specks, centre, int(rng.integers(0, 2)), float(rng.uniform(0.1, 0.5)), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(specks, (0, 0), 0.7)
