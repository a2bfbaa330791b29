"""Drawn parts with a head and a tail, turned and shifted on a plain background."""

import cv2
import numpy as np
from jaxtyping import UInt8

LENGTH_PX, WIDTH_PX = 128, 48
SIDE_PX = 192
BACKGROUND = 200


def part(rng: np.random.Generator) -> UInt8[np.ndarray, "width length 3"]:
    """A dark bar that ends in a wide head, with bands that are alike on all parts and a little noise."""
    image = np.full((WIDTH_PX, LENGTH_PX), float(BACKGROUND))
    image[4:44, 6:30] = 70
    image[16:32, 30:122] = 90 + 40 * (np.arange(92) // 12 % 2)
    image += rng.normal(0, 2, image.shape)
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def lying(
    drawn: UInt8[np.ndarray, "width length 3"],
    degrees: float,
    centre_xy: tuple[float, float],
    *,
    side_px: int = SIDE_PX,
    scale: float = 1.0,
) -> UInt8[np.ndarray, "side side 3"]:
    """The part on its background: its middle at that place, the tail in that direction."""
    matrix = cv2.getRotationMatrix2D((LENGTH_PX / 2 - 0.5, WIDTH_PX / 2 - 0.5), -degrees, scale)
    matrix[:, 2] += np.array(centre_xy) - 0.5 - (LENGTH_PX / 2 - 0.5, WIDTH_PX / 2 - 0.5)
    return np.asarray(
        cv2.warpAffine(
            drawn,
            matrix,
            (side_px, side_px),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(BACKGROUND,) * 3,
        )
    )


def turned_pictures(frames: int, *, seed: int = 0) -> list[UInt8[np.ndarray, "side side 3"]]:
    """Parts that lie anyhow."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(84, SIDE_PX - 84, (frames, 2)).tolist()
    return [lying(part(rng), rng.uniform(0, 360), (x, y)) for x, y in centres]
