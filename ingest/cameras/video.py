"""A video file as a camera: every n-th picture, as a JPEG."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

from ingest.cameras.source import CameraFrame, EmptySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.cameras.source import WallClock


class UnreadableVideo(ValueError):
    """A file that holds no video OpenCV can decode; the text names it."""


@dataclass(frozen=True)
class VideoCamera:
    """Pictures 0, stride, 2 stride, ... of a video file. Nobody knows which show defects.

    Iterating raises UnreadableVideo for a file that is missing or no video, EmptySource for one without a picture.
    """

    path: Path
    clock: WallClock
    stride: int = 1
    jpeg_quality: int = 95

    def __post_init__(self) -> None:
        """Raises ValueError for a stride or quality that cannot be."""
        if self.stride < 1:
            raise ValueError(f"stride {self.stride} must be 1 or more")
        if not 1 <= self.jpeg_quality <= 100:  # noqa: PLR2004 -- JPEG's own scale
            raise ValueError(f"jpeg_quality {self.jpeg_quality} must be between 1 and 100")

    def __iter__(self) -> Iterator[CameraFrame]:
        index = -1
        with _opened(self.path) as capture:
            while capture.grab():  # a picture that is skipped is not decoded
                index += 1
                if index % self.stride == 0:
                    yield self._frame(capture, index)
        if index < 0:
            raise EmptySource(f"{self.path} holds no picture")

    def _frame(self, capture: cv2.VideoCapture, index: int) -> CameraFrame:
        there, picture = capture.retrieve()
        if not there:
            raise UnreadableVideo(
                f"{self.path} cannot be decoded at picture {index}: convert it, or cut it before there"
            )
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])[1].tobytes()
        return CameraFrame(encoded, "image/jpeg", self.clock(), f"{self.path}, picture {index}")


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    if not path.is_file():
        raise UnreadableVideo(f"{path} is not a file: name a video file")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise UnreadableVideo(f"{path} is no video that OpenCV can read: convert it, for example to MP4 (H.264)")
        yield capture
    finally:
        capture.release()
