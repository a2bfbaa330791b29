"""Whether the frames of a view still have the size that its bank learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitoring.drift.observation import Observation

FRAMES_OF_AN_EPISODE = 12
"""So many frames of another size, less those of the right one, are no slip. As many of the right one end it."""


@dataclass(frozen=True)
class OtherSizes:
    """Frames of another size than the bank's, less those of the right one that came between them."""

    count: int = 0

    def after(self, observation: Observation) -> OtherSizes:
        """One frame later."""
        step = 1 if observation.other_size_wh is not None else -1
        return OtherSizes(min(max(self.count + step, 0), FRAMES_OF_AN_EPISODE))

    @property
    def changed(self) -> bool:
        """Whether the size of the frames has changed."""
        return self.count == FRAMES_OF_AN_EPISODE


def size_words(before_wh: tuple[int, int] | None, now_wh: tuple[int, int]) -> str:
    """What changed, as `from 640 x 480 to 320 x 240 px`."""
    before = "" if before_wh is None else f"from {before_wh[0]} x {before_wh[1]} "
    return f"{before}to {now_wh[0]} x {now_wh[1]} px"
