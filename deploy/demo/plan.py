"""What a demo streams: a window of unfiltered frames to learn from, then frames to decide; chosen by a seed alone."""

from __future__ import annotations

import hashlib
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from deploy.errors import UsageError
from ingest.cameras.source import GOOD
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.cameras.source import CameraFrame


@dataclass(frozen=True)
class Plan:
    """The two parts of a demo."""

    window: Sequence[CameraFrame]
    rest: Sequence[CameraFrame]
    about: str
    """Where the frames come from, for people."""

    @property
    def distinct_window_frames(self) -> int:
        """Frames of the window that are not bit by bit a copy of another: what the trainer counts."""
        return len({hashlib.sha256(frame.encoded).digest() for frame in self.window})

    @property
    def size_bytes(self) -> int:
        """Encoded bytes of all frames."""
        return sum(len(frame.encoded) for frame in (*self.window, *self.rest))


class Numbered(Protocol):
    """A source whose frames do not depend on one another."""

    def frame(self, index: int) -> CameraFrame:
        """Frame `index`."""
        ...


def simulated(source: Numbered, *, window: int, rest: int, about: str) -> Plan:
    """The first frames of an endless source, drawn on all cores."""
    with ThreadPoolExecutor(available_cores(), "simulator") as pool:
        frames = list(pool.map(source.frame, range(window + rest)))
    return Plan(frames[:window], frames[window:], about)


def overlap(train: Sequence[CameraFrame], test: Sequence[CameraFrame], *, noise: float, seed: int, about: str) -> Plan:
    """The paper's overlap setting: defective test frames are mixed into the window, and all test frames are decided.

    The window is every training frame plus round(noise x their number) defective test frames, in random order; the
    injected ones are decided like all others, as frames of their own.

    Raises UsageError where there are too few defective frames.
    """
    defective = [frame for frame in test if frame.label != GOOD]
    count = round(noise * len(train))
    if count > len(defective):
        most = math.floor(100 * len(defective) / max(len(train), 1)) / 100
        raise UsageError(
            f"--noise {noise:g} needs {count} defective frames, {about} has {len(defective)}; "
            f"ask for at most {most:.2f}"
        )
    random = np.random.default_rng(seed)
    injected = [defective[i] for i in random.permutation(len(defective))[:count]]
    window = [*train, *injected]
    return Plan(
        window=[window[i] for i in random.permutation(len(window))],
        rest=[test[i] for i in random.permutation(len(test))],
        about=about,
    )
