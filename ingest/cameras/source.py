"""What a camera source gives: frames, and for synthetic or labelled ones the truth about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import numpy as np
    from jaxtyping import Bool

    WallClock = Callable[[], datetime]
    """Tells the time of capture, with an offset."""

GOOD = "good"
"""The label of a frame without defect, as in MVTec's layout."""


class EmptySource(ValueError):
    """A camera source without a single frame; the text says where images were looked for."""


@dataclass(frozen=True, eq=False)
class CameraFrame:
    """One encoded frame. `label` and `mask` are the truth for comparisons, and never go to Kafka."""

    encoded: bytes
    content_type: str
    """The media type of `encoded`, as `image/jpeg`."""
    captured_at: datetime
    source: str
    """Where the frame comes from, for people: a path, or simulator, seed and index."""
    label: str | None = None
    """`good` or the type of defect; None where nobody knows."""
    mask: Bool[np.ndarray, "height width"] | None = None
    """The defect in pixels of the frame; None where there is none or nobody knows."""
    file_name: str | None = None
    """Folder and name of the file that it is; None where it is none. Goes to Kafka, so that people find it."""


class CameraSource(Protocol):
    """Frames in the order they were, or would be, captured. Iterating again starts again."""

    def __iter__(self) -> Iterator[CameraFrame]: ...
