"""The gap rule: a camera numbers its frames, and numbers left out between two frames were lost before Kafka.

One camera may serve several views, so it is followed per camera (Kafka key), over all its frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ingest.contract import SourceRecord


class NumberedFrame(Protocol):
    """A frame, or a decision on one."""

    @property
    def frame_id(self) -> str:
        """Names the frame."""
        ...

    @property
    def sequence(self) -> int | None:
        """The camera's own number; None where it gives none."""
        ...

    @property
    def source(self) -> SourceRecord:
        """The record of the frame."""
        ...

    @property
    def replay_of(self) -> SourceRecord | None:
        """The dead letter that was replayed."""
        ...


@dataclass(frozen=True)
class SequenceGaps:
    """The last number of a camera; `start` is what the frame ids of this start of the camera begin with."""

    start: str = ""
    last: int | None = None

    def after(self, frame: NumberedFrame, *, repeated: bool) -> tuple[SequenceGaps, int]:
        """The state after one frame more, and how many frames are missing before it.

        None are missing at a new start of the camera or without a number. A `repeated` or replayed frame has no place
        in the camera's order: it changes nothing.
        """
        sequence = frame.sequence
        if sequence is None or repeated or frame.replay_of is not None:
            return self, 0
        start = _start(frame, sequence)
        if self.last is None or start != self.start or (not start and sequence < self.last):
            return SequenceGaps(start, sequence), 0
        return SequenceGaps(start, max(sequence, self.last)), max(0, sequence - self.last - 1)


def _start(frame: NumberedFrame, sequence: int) -> str:
    """Empty where the frame ids name no start: then it is the same until the numbers fall."""
    source = frame.source
    if frame.frame_id in (str(sequence), source.default_frame_id(source.topic), source.default_frame_id("")):
        return ""
    start = frame.frame_id.removesuffix(f"-{sequence}")
    return "" if start == frame.frame_id else start
