"""How many frames a view sends in a second, as its window tells."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.window import KeptFrame

LEAST_SPAN_SECONDS = 60.0
"""Frames that all came within less tell of a backlog or a trial, not of a line."""


def frames_per_second(kept: Sequence[KeptFrame]) -> float | None:
    """The median between neighbours in the window, so that pauses do not count; None where it spans too little."""
    if not kept or kept[-1].appended_ms - kept[0].appended_ms < LEAST_SPAN_SECONDS * 1000:
        return None
    return median(
        1000 * (after.number - before.number) / max(after.appended_ms - before.appended_ms, 1)
        for before, after in pairwise(kept)
    )
