"""A folder of images as a camera: MVTec's layout with its truth, or plain files of which nobody knows more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.cameras.source import CameraFrame, EmptySource
from softpatch.images.folders import NoImages, read_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from jaxtyping import Bool

    from ingest.cameras.source import WallClock
    from softpatch.images.folders import LabelledImage

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
}
HALF_WHITE = 127


class UnreadableMask(ValueError):
    """A ground-truth mask that is no image; the text names the file."""


@dataclass(frozen=True)
class FolderCamera:
    """Image files, each sent as it is on the disk, in the order given. Read one by one while iterating.

    `labelled` False: the folder says nothing about its images (flat layout).
    """

    images: Sequence[LabelledImage]
    clock: WallClock
    labelled: bool = True

    def __iter__(self) -> Iterator[CameraFrame]:
        for image in self.images:
            yield CameraFrame(
                encoded=image.path.read_bytes(),
                content_type=CONTENT_TYPES[image.path.suffix.lower()],
                captured_at=self.clock(),
                source=str(image.path),
                file_name="/".join(image.path.parts[-2:]),
                label=image.label if self.labelled else None,
                mask=None if image.mask is None else read_mask(image.mask),
            )


def open_folder(root: Path, *, clock: WallClock, seed: int | None = None) -> FolderCamera:
    """All images of a folder, by path, or shuffled by a seed. For a choice or an order of your own: `FolderCamera`.

    Raises EmptySource where the folder is missing or holds no image.
    """
    try:
        layout = read_folder(root)
    except NoImages as error:
        raise EmptySource(str(error)) from error
    images = layout.images
    if seed is not None:
        images = tuple(images[i] for i in np.random.default_rng(seed).permutation(len(images)))
    return FolderCamera(images, clock, labelled=layout.kind == "mvtec")


def read_mask(path: Path) -> Bool[np.ndarray, "height width"]:
    """Where a ground-truth mask is white. Raises UnreadableMask."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise UnreadableMask(f"{path} is not an image: replace or remove this mask")
    white: Bool[np.ndarray, "height width"] = pixels > HALF_WHITE
    return white
