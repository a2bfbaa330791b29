"""What is done to injected frames in the augmented overlap settings, so that the test frame is not the one learnt."""

from typing import assert_never

import cv2
import numpy as np
from jaxtyping import UInt8

from deploy.evaluation.protocol.split import Setting

NOISE_SIGMA = 8.0
BLUR_KERNEL_PX = 5
ROTATION_DEGREES = 10.0
SHIFT_RATIO = 0.05
SCALE_RATIO = 0.1
SHEAR_DEGREES = 5.0


def augment(
    image: UInt8[np.ndarray, "h w 3"], setting: Setting, *, rng: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    """The frame as `setting` trains on it: unchanged where the setting augments nothing.

    Gaussian noise has a sigma of 8 gray levels; noise-blur adds a 5 px Gaussian blur; rotation turns by up to 10
    degrees; affine also shifts by up to 5 %, scales by up to 10 % and shears by up to 5 degrees. The paper gives no
    strengths.
    """
    match setting:
        case "overlap" | "no-overlap":
            return image
        case "gaussian-noise":
            return _add_noise(image, rng)
        case "noise-blur":
            return cv2.GaussianBlur(_add_noise(image, rng), (BLUR_KERNEL_PX, BLUR_KERNEL_PX), 0)
        case "rotation":
            return _warp(image, _about_centre(image, rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES), 1.0))
        case "affine":
            return _warp(image, _affine(image, rng))
        case _:
            assert_never(setting)


def _add_noise(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> UInt8[np.ndarray, "h w 3"]:
    return np.clip(np.rint(image + rng.normal(0, NOISE_SIGMA, image.shape)), 0, 255).astype(np.uint8)


def _about_centre(image: UInt8[np.ndarray, "h w 3"], degrees: float, scale: float) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)


def _affine(image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = _about_centre(
        image, rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES), rng.uniform(1 - SCALE_RATIO, 1 + SCALE_RATIO)
    )
    shear = np.tan(np.radians(rng.uniform(-SHEAR_DEGREES, SHEAR_DEGREES)))
    matrix[0, 1] += shear
    matrix[0, 2] -= shear * (height - 1) / 2
    matrix[:, 2] += rng.uniform(-SHIFT_RATIO, SHIFT_RATIO, 2) * (width, height)
    return matrix


def _warp(image: UInt8[np.ndarray, "h w 3"], matrix: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    height, width = image.shape[:2]
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
