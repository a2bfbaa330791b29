"""Pictures of parts that lie turned, cut out so that all parts lie alike; and which patch of a frame shows what there.

A cut has the same size for all frames of a window, and the scale of the network's input unless it would be too large.
Lengths and poses are of pictures with as many pixels as the network's input, whatever size frames have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Int64, UInt8

from softpatch.building.part_pose import PartPose
from softpatch.images.geometry import Geometry

OUTERMOST = 0.02
"""Quantile of the parts' extents that the cut reaches: a few poses are always wrong."""

MOST_PIXELS_SHARE = 0.5
"""Of the network's input, what a cut has at most: the frames are embedded once more with it."""


@dataclass(frozen=True)
class UprightCrop:
    """A cut along and across the part, from its centre, and its size as network input."""

    first: tuple[float, float]
    length: tuple[float, float]
    width_px: int
    height_px: int

    def of(
        self, image: UInt8[np.ndarray, "h w 3"], pose: PartPose, *, pixels_per_length: float
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The part as it lies in all cuts; what lies outside of the picture is like its border."""
        per_pixel = pose.turned @ np.diag(np.array(self.length) / (self.width_px, self.height_px))
        corner = np.array(pose.centre_xy) + pose.turned @ np.array(self.first)
        first = (corner + per_pixel @ np.array([0.5, 0.5])) * pixels_per_length - 0.5
        return np.asarray(
            cv2.warpAffine(
                image,
                np.column_stack([per_pixel * pixels_per_length, first]),
                (self.width_px, self.height_px),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
        )

    def places(
        self,
        pose: PartPose,
        *,
        geometry: Geometry,
        frame_wh: tuple[float, float],
        frame_grid: tuple[int, int],
        crop_grid: tuple[int, int],
    ) -> Int64[np.ndarray, "p q"]:
        """Per patch of the frame the number of the cut's patch that shows its middle; -1 where none does.

        `frame_wh` are the sides of the frame in lengths of the pose.
        """
        rows, columns = frame_grid
        place = geometry.placement((max(1, round(frame_wh[0])), max(1, round(frame_wh[1]))))
        x = ((np.arange(columns) + 0.5) * geometry.width_px / columns - place.left_px) * frame_wh[0] / place.width_px
        y = ((np.arange(rows) + 0.5) * geometry.height_px / rows - place.top_px) * frame_wh[1] / place.height_px
        from_centre = np.stack(np.meshgrid(x, y), axis=-1) - np.array(pose.centre_xy)
        in_part = (from_centre @ pose.turned - np.array(self.first)) / np.array(self.length)
        column, row = np.floor(in_part * (crop_grid[1], crop_grid[0])).astype(np.int64).transpose(2, 0, 1)
        inside = (row >= 0) & (row < crop_grid[0]) & (column >= 0) & (column < crop_grid[1])
        return np.where(inside, row * crop_grid[1] + column, -1)

    def shown(
        self, pose: PartPose, *, frame_wh: tuple[float, float], crop_grid: tuple[int, int]
    ) -> Bool[np.ndarray, "r c"]:
        """The patches of the cut that lie wholly on the frame."""
        rows, columns = crop_grid
        x, y = np.arange(columns + 1) * self.length[0] / columns, np.arange(rows + 1) * self.length[1] / rows
        in_part = np.stack(np.meshgrid(x, y), axis=-1) + np.array(self.first)
        corners = in_part @ pose.turned.T + np.array(pose.centre_xy)
        on = ((corners >= 0) & (corners <= np.array(frame_wh))).all(axis=-1)
        return np.asarray(on[1:, 1:] & on[1:, :-1] & on[:-1, 1:] & on[:-1, :-1])


def upright_crop(
    poses: Sequence[PartPose], *, input_wh: tuple[int, int], multiple: int, same_size: bool
) -> UprightCrop:
    """The cut that holds nearly all of these parts; its sides are multiples of what the network takes.

    `same_size`: it is as large as the network's input, so that nothing has to be compiled for it.
    """
    extents = np.array([pose.extent for pose in poses])
    low, high = np.quantile(extents[:, ::2], OUTERMOST, axis=0), np.quantile(extents[:, 1::2], 1 - OUTERMOST, axis=0)
    length = np.maximum(high - low, 1)
    if same_size:
        size = np.array(input_wh)
        scale = min(1.0, float((size / length).min()))
    else:
        scale = min(1.0, float(np.sqrt(MOST_PIXELS_SHARE * np.prod(input_wh) / length.prod())))
        size = np.ceil(length * scale / multiple).astype(np.int64) * multiple
    whole = size / scale
    first = (low + high - whole) / 2
    return UprightCrop(
        first=(float(first[0]), float(first[1])),
        length=(float(whole[0]), float(whole[1])),
        width_px=int(size[0]),
        height_px=int(size[1]),
    )


def on_frames(cells: Bool[np.ndarray, "n r c"], places: Int64[np.ndarray, "n p q"]) -> Bool[np.ndarray, "n p q"]:
    """The patches of the frames that show those of the cuts."""
    flat = cells.reshape(len(cells), -1)
    shown = np.take_along_axis(flat, np.maximum(places, 0).reshape(len(places), -1), axis=1).reshape(places.shape)
    return np.asarray(shown & (places >= 0))
