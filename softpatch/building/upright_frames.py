"""A window whose parts lie turned, read once more so that all parts lie alike: cut out along the part, and embedded."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from softpatch.building.embedding_buffer import EmbeddingBuffer, buffer_for
from softpatch.building.part_pose import PartPose, part_pose
from softpatch.building.progress import StageProgress
from softpatch.building.upright_crop import upright_crop
from softpatch.building.window import in_batches
from softpatch.images.geometry import PADDING, FrameGeometry, resize
from softpatch.network.embed import Embedder

POSED_FRAMES = 48
"""Frames, evenly spaced, whose poses say how large the cut is."""

SHARP = 2.0
"""Pixels of a frame a length of the network's input up to which a cut is taken from the frame itself: it is read
between pixels, and from more of them small things would be lost."""


@dataclass(frozen=True)
class UprightFrames:
    """The embeddings of all cuts, and per patch of each frame the patch of its cut that shows the same; -1: none.

    `shown` are the patches of each cut that lie on the frame: beyond its border there is nothing to be suspicious of.
    """

    embeddings: EmbeddingBuffer
    places: Int64[np.ndarray, "n p q"]
    shown: Bool[np.ndarray, "n r c"]


def upright_frames(
    encoded: Sequence[bytes],
    geometry: FrameGeometry,
    embedder: Embedder,
    *,
    grid: tuple[int, int],
    max_pixels: int,
    pool: Executor,
    progress: StageProgress,
) -> UprightFrames | None:
    """Cut out and embed the part of every frame, each of which can be decoded.

    None where most frames show nothing that differs from its background. One that shows nothing is cut out unturned.
    """

    def picture(frame: bytes) -> _Picture:
        return _picture(geometry.decode(frame, max_pixels=max_pixels), geometry)

    def posed(frame: bytes) -> PartPose | None:
        return picture(frame).pose

    sample = [encoded[round(i)] for i in np.linspace(0, len(encoded) - 1, min(POSED_FRAMES, len(encoded)))]
    poses = [pose for pose in pool.map(posed, sample) if pose is not None]
    if 2 * len(poses) <= len(sample):
        return None
    crop = upright_crop(
        poses,
        input_wh=(geometry.width_px, geometry.height_px),
        multiple=embedder.input_multiple_px,
        same_size=embedder.provider != "cpu",
    )

    def cut(frame: bytes) -> _Cut:
        shown = picture(frame)
        width, height = shown.frame_wh
        pose = shown.pose or PartPose((width / 2, height / 2), (1.0, 0.0), (0.0, 0.0, 0.0, 0.0))
        return _Cut(crop.of(shown.image, pose, pixels_per_length=shown.pixels_per_length), pose, shown.frame_wh)

    embeddings: EmbeddingBuffer | None = None
    places: list[Int64[np.ndarray, "p q"]] = []
    shown: list[Bool[np.ndarray, "r c"]] = []
    for cuts in in_batches(encoded, cut, pool):
        embedded = embedder.embed(np.stack([each.image for each in cuts]))
        if embeddings is None:
            embeddings = buffer_for(len(encoded), embedded.shape[1:])
        embeddings.append(embedded)
        crop_grid = embedded.shape[1], embedded.shape[2]
        for each in cuts:
            shown.append(crop.shown(each.pose, frame_wh=each.frame_wh, crop_grid=crop_grid))
            places.append(
                crop.places(each.pose, geometry=geometry, frame_wh=each.frame_wh, frame_grid=grid, crop_grid=crop_grid)
            )
        progress(len(places), len(encoded))
    return None if embeddings is None else UprightFrames(embeddings, np.stack(places), np.stack(shown))


@dataclass(frozen=True)
class _Picture:
    """A frame in its own proportions. Its pose is in lengths of which its area has as many as the network's input."""

    image: UInt8[np.ndarray, "h w 3"]
    pixels_per_length: float

    @property
    def pose(self) -> PartPose | None:
        found = part_pose(self.image)
        return None if found is None else found.scaled(1 / self.pixels_per_length)

    @property
    def frame_wh(self) -> tuple[float, float]:
        height, width = self.image.shape[:2]
        return width / self.pixels_per_length, height / self.pixels_per_length


@dataclass(frozen=True)
class _Cut:
    image: UInt8[np.ndarray, "height width 3"]
    pose: PartPose
    frame_wh: tuple[float, float]


def _picture(image: UInt8[np.ndarray, "h w 3"], geometry: FrameGeometry) -> _Picture:
    """The frame, made smaller where it is far larger than the network's input, and painted where it is not inspected.

    On a squeezed picture a part that is turned would be another part, and one that is made smaller first is blurred.
    """
    height, width = image.shape[:2]
    inspected = geometry.inspected_source((width, height))
    if inspected is not None:
        usual = np.median(image[inspected > 0], axis=0).astype(np.uint8) if inspected.any() else np.uint8(PADDING)
        image = np.where(inspected[..., None] > 0, image, usual)
    per_length = float(np.sqrt(height * width / (geometry.height_px * geometry.width_px)))
    if per_length <= SHARP:
        return _Picture(image, per_length)
    scale = SHARP / per_length
    smaller = resize(image, width_px=max(1, round(width * scale)), height_px=max(1, round(height * scale)))
    return _Picture(smaller, float(np.sqrt(smaller.shape[0] * smaller.shape[1] / (height * width))) * per_length)
