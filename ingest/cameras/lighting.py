"""The light and the sensor of the simulator: what changes between two frames of the same part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from ingest.cameras.surfaces import Picture

FIELD_CELLS = 9
NOISE_MARGIN_PX = 61


@dataclass(frozen=True)
class Lighting:
    """How unsteady the light is. Deviations are shares of the brightness; the period is in frames."""

    drift_ratio: float = 0.04
    drift_period_frames: float = 900.0
    flicker_ratio: float = 0.012
    tilt_ratio: float = 0.05
    vignette_ratio: float = 0.16
    noise_gray_levels: float = 2.4

    def field(self, index: int, phase: float, rng: np.random.Generator, size_px: int) -> Float32[np.ndarray, "h w 3"]:
        """The gain of every pixel at frame `index`: lamp ageing to and fro, mains flicker, a wandering bright side."""
        slow = 2 * np.pi * index / self.drift_period_frames + phase
        gain = 1 + self.drift_ratio * np.sin(slow) + self.flicker_ratio * rng.normal()
        y, x = np.mgrid[-1 : 1 : FIELD_CELLS * 1j, -1 : 1 : FIELD_CELLS * 1j]
        side = -0.8 + 0.5 * np.sin(0.61 * slow + 1)
        tilt = self.tilt_ratio * (x * np.cos(side) + y * np.sin(side))
        cells = gain * (1 + tilt) * (1 - self.vignette_ratio * (x**2 + y**2) / 2) * 1.08
        warmth = 0.012 * np.sin(0.37 * slow)
        tinted = cells[..., None] * np.array([1 - warmth, 1.0, 1 + warmth])
        drawn: Float32[np.ndarray, "h w 3"] = cv2.resize(
            tinted.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC
        )
        return drawn


def noise_plate(rng: np.random.Generator, size_px: int, deviation: float) -> UInt8[np.ndarray, "h w 3"]:
    """Sensor noise about gray 128, larger than a frame, so that each frame can take another cut of it."""
    side = size_px + NOISE_MARGIN_PX
    luma = rng.normal(0, deviation, (side, side, 1)).astype(np.float32)
    chroma = rng.normal(0, deviation * 0.5, (side, side, 3)).astype(np.float32)
    drawn: UInt8[np.ndarray, "h w 3"] = np.clip(np.rint(128 + luma + chroma), 0, 255).astype(np.uint8)
    return drawn


def exposed(
    scene: Picture,
    field: Float32[np.ndarray, "h w 3"],
    noise: UInt8[np.ndarray, "side side 3"],
    rng: np.random.Generator,
) -> Picture:
    """What the sensor makes of a scene under this light: lens blur, gain, noise."""
    size = scene.shape[0]
    lit = cv2.multiply(cv2.GaussianBlur(scene, (3, 3), 0.6), field, dtype=cv2.CV_8U)
    top, left = rng.integers(0, NOISE_MARGIN_PX, 2)
    return cv2.addWeighted(lit, 1.0, noise[top : top + size, left : left + size], 1.0, -128.0)
