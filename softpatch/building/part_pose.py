"""Where a part lies in a picture, and how far it is turned, by the moments of what differs from the background."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from softpatch.images.geometry import resize

LARGEST_PX = 192
"""Mean side of the picture that moments are taken of; a larger one is made smaller first."""

BORDER_SHARE = 32
"""The outermost 1 / 32 of a picture, on each side, tells what its background looks like."""

_FEWEST_PIXELS = 16


@dataclass(frozen=True)
class PartPose:
    """The centre of a part, its long axis as a unit vector towards its longer tail, and its extent.

    In pixels from the picture's corner; `extent` is from the centre to either end along the axis, then across it.
    """

    centre_xy: tuple[float, float]
    axis_xy: tuple[float, float]
    extent: tuple[float, float, float, float]

    def scaled(self, by: float) -> "PartPose":
        """The same on a picture that is so many times as large."""
        x, y = self.centre_xy
        first, last, left, right = self.extent
        return PartPose((x * by, y * by), self.axis_xy, (first * by, last * by, left * by, right * by))

    @property
    def turned(self) -> Float64[np.ndarray, "2 2"]:
        """Maps lengths along and across the part to lengths in x and y of the picture."""
        x, y = self.axis_xy
        return np.array([[x, -y], [y, x]])


def part_pose(image: UInt8[np.ndarray, "h w 3"]) -> PartPose | None:
    """How the part lies; None where nothing differs from the background.

    A part is what differs from the median of the border by more than Otsu's limit. Single pixels are dust. Where
    something else lies about, or the background is no plain one, the pose is wrong: who uses it has to check.
    """
    height, width = image.shape[:2]
    scale = min(1.0, LARGEST_PX / float(np.sqrt(height * width)))
    small_wh = max(1, round(width * scale)), max(1, round(height * scale))
    points = _part_pixels(resize(image, width_px=small_wh[0], height_px=small_wh[1]))
    if len(points) < _FEWEST_PIXELS:
        return None
    return _pose_of((points + 0.5) * (width / small_wh[0], height / small_wh[1]))


def _part_pixels(image: UInt8[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "n 2"]:
    rim = max(1, min(image.shape[:2]) // BORDER_SHARE)
    border = np.concatenate(
        [side.reshape(-1, 3) for side in (image[:rim], image[-rim:], image[:, :rim], image[:, -rim:])]
    )
    background = np.median(border, axis=0).astype(np.uint8)
    differs = cv2.absdiff(image, np.broadcast_to(background, image.shape)).max(axis=2)
    _, part = cv2.threshold(differs, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    part = cv2.morphologyEx(part, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero(part)
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _pose_of(points: Float64[np.ndarray, "n 2"]) -> PartPose:
    centre = points.mean(axis=0)
    around = points - centre
    axis = np.linalg.eigh(around.T @ around)[1][:, 1]
    along = around @ axis
    if (along**3).mean() < 0:
        axis, along = -axis, -along
    across = around @ np.array([-axis[1], axis[0]])
    return PartPose(
        centre_xy=(float(centre[0]), float(centre[1])),
        axis_xy=(float(axis[0]), float(axis[1])),
        extent=(float(along.min()), float(along.max()), float(across.min()), float(across.max())),
    )
