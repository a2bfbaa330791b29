"""Whether each frame is a new picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from monitoring.drift.observation import Observation

REPEATS_OF_AN_EPISODE = 30
"""So many frames in a row equal to the one before open an episode: no coincidence, even of rigid aligned parts, each of
which comes with its own noise. Inference calls single frames frozen sooner, by the view's `frozen_frames`."""


@dataclass(frozen=True)
class FrozenCamera:
    """The last frame, and how many frames before it showed the same instant."""

    last: Observation | None = None
    equal_in_a_row: int = 0

    @property
    def frozen(self) -> bool:
        """Whether the camera repeats one picture."""
        return self.equal_in_a_row >= REPEATS_OF_AN_EPISODE

    def after(self, now: Observation, *, still: float) -> FrozenCamera:
        """One frame later; `still` is the distance of sketches below which two frames show the same instant."""
        if self.last is None:
            return FrozenCamera(now)
        equal = same_instant(self.last, now, still=still)
        return FrozenCamera(now, self.equal_in_a_row + 1 if equal else 0)


def same_instant(before: Observation, now: Observation, *, still: float) -> bool:
    """Whether the difference hash is the same and the sketches differ by less than the view's noise."""
    if before.difference_hash != now.difference_hash:
        return False
    return bool(np.array_equal(before.sketch, now.sketch) or np.linalg.norm(before.sketch - now.sketch) < still)
