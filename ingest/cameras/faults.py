"""What goes wrong with cameras, as functions of a frame: they compose, and where chance plays a part they take it.

The truth moves with the picture: a shifted frame has a shifted mask. Labels stay; they speak of the part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ingest.cameras.source import CameraFrame
    from ingest.cameras.surfaces import Picture

    Fault = Callable[[CameraFrame], CameraFrame]

JPEG_QUALITY = 92


def from_frame(
    fault: Fault, frames: Iterable[CameraFrame], *, first: int, count: int | None = None
) -> Iterator[CameraFrame]:
    """Frames with a fault from number `first` on, for `count` frames or to the end."""
    for number, frame in enumerate(frames):
        faulty = number >= first and (count is None or number < first + count)
        yield fault(frame) if faulty else frame


def frozen(frames: Iterable[CameraFrame], *, first: int, count: int) -> Iterator[CameraFrame]:
    """The picture of frame `first` comes `count` times more; the clock goes on, the parts pass unseen."""
    held: CameraFrame | None = None
    for number, frame in enumerate(frames):
        if number == first:
            held = frame
        if held is not None and first < number <= first + count:
            yield replace(held, captured_at=frame.captured_at)
        else:
            yield frame


def black(frame: CameraFrame) -> CameraFrame:
    """The lens cap, or no light."""
    return _redrawn(frame, np.zeros_like)


def gain(frame: CameraFrame, *, factor: float) -> CameraFrame:
    """A lamp that aged (below 1) or an exposure that is too long (above): what passes white is lost."""
    return _redrawn(frame, lambda picture: cv2.convertScaleAbs(picture, alpha=factor))


def overexposed(frame: CameraFrame) -> CameraFrame:
    """An exposure so long that all but the darkest is white."""
    return gain(frame, factor=20.0)


def blurred(frame: CameraFrame, *, sigma_px: float) -> CameraFrame:
    """A lens out of focus."""
    return _redrawn(frame, lambda picture: cv2.GaussianBlur(picture, (0, 0), sigma_px))


@dataclass(frozen=True)
class Knock:
    """A camera that was pushed: every frame after it shows the scene shifted and turned by the same amount."""

    shift_xy_px: tuple[float, float]
    turn_degrees: float = 0.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, about_px: float = 25.0) -> Knock:
        """A knock of about this size, in a direction by chance."""
        angle = rng.uniform(0, 2 * np.pi)
        size = about_px * rng.uniform(0.8, 1.2)
        return cls((float(size * np.cos(angle)), float(size * np.sin(angle))), float(rng.normal(0, 1.5)))

    def __call__(self, frame: CameraFrame) -> CameraFrame:
        """The frame as the pushed camera sees it."""
        moved = _redrawn(frame, self.moved)
        if frame.mask is None:
            return moved
        return replace(moved, mask=self.moved(frame.mask.astype(np.uint8), cv2.BORDER_CONSTANT) > 0)

    def moved(self, picture: np.ndarray, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
        """A picture as the pushed camera sees it; what comes in from beyond its edge repeats the edge."""
        height, width = picture.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.turn_degrees, 1.0)
        matrix[:, 2] = matrix[:, 2] + np.array(self.shift_xy_px)
        moved: np.ndarray = cv2.warpAffine(picture, matrix, (width, height), borderMode=border)
        return moved


@dataclass(frozen=True)
class Interruption:
    """Some frames of a camera show nothing to inspect: `count` from number `first` on."""

    kind: Literal["black", "overexposed", "frozen"]
    first: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Interruption:
        """From `black:100:30`: frames 100 to 129. Raises ValueError for anything else.

        A camera can freeze from the second frame on: it repeats the one before.
        """
        kind, first, count = (*text.split(":"), "", "")[:3]
        for known in ("black", "overexposed", "frozen"):
            if kind == known and first.isdecimal() and count.isdecimal() and text.count(":") == 2:  # noqa: PLR2004
                if known == "frozen" and int(first) == 0:
                    raise ValueError(f"{text}: a frozen camera repeats the frame before, write frozen:1:{count}")
                return cls(known, int(first), int(count))
        raise ValueError(
            f"{text} is no fault: write black:100:30, or overexposed or frozen, for 30 frames from number 100"
        )

    def over(self, frames: Iterable[CameraFrame]) -> Iterator[CameraFrame]:
        """The frames of a source with this fault among them."""
        if self.kind == "frozen":
            return frozen(frames, first=self.first - 1, count=self.count)
        fault = black if self.kind == "black" else overexposed
        return from_frame(fault, frames, first=self.first, count=self.count)


def _redrawn(frame: CameraFrame, draw: Callable[[Picture], Picture]) -> CameraFrame:
    picture = cv2.imdecode(np.frombuffer(frame.encoded, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{frame.source} cannot be decoded, so no fault can be drawn on it")
    encoded = cv2.imencode(".jpg", draw(picture), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    return replace(frame, encoded=encoded, content_type="image/jpeg")
