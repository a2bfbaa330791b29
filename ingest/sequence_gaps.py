"""A camera's own numbers on its frames: what is missing between two was lost before Kafka.

A camera may serve several views, so this is followed per camera, over all its decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.decision import Decision


@dataclass(frozen=True)
class SequenceGaps:
    """The last number a camera gave; `start` is what the frame ids of this start of the camera begin with."""

    start: str = ""
    last: int | None = None

    def after(self, decision: Decision) -> tuple[SequenceGaps, int]:
        """One decision later, and how many frames are missing before it: none at a new start, or without a number."""
        sequence = decision.sequence
        if sequence is None or decision.duplicate_of is not None or decision.replay_of is not None:
            return self, 0  # a frame told again has no place in the camera's order
        start = _start(decision, sequence)
        if self.last is None or start != self.start or (not start and sequence < self.last):
            return SequenceGaps(start, sequence), 0
        return SequenceGaps(start, max(sequence, self.last)), max(0, sequence - self.last - 1)


def _start(decision: Decision, sequence: int) -> str:
    """Empty where the frame ids name no start: then it is the same until the numbers fall."""
    source = decision.source
    if decision.frame_id in (str(sequence), f"{source.partition}-{source.offset}"):
        return ""
    start = decision.frame_id.removesuffix(f"-{sequence}")
    return "" if start == decision.frame_id else start
