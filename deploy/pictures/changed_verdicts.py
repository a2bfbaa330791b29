"""The pictures that another threshold would have decided otherwise, on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.pictures.annotated_frame import AnnotatedFrame
from deploy.pictures.contact_sheet import SheetHeader, render_cards, title_of
from ingest.decision import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from jaxtyping import UInt8

    from deploy.history.threshold_replay import ChangedVerdict, ThresholdReplay
    from ingest.decision import Decision
    from softpatch.images.geometry import Geometry

MOST = 12
"""Pictures of each kind."""
TITLES = {
    Verdict.FAIL: "Would have failed",
    Verdict.PASS: "Would have passed",
    Verdict.UNDECIDED: "Would have been undecided",
}


def changed_verdicts_sheet(
    found: ThresholdReplay,
    title: str,
    *,
    picture_of: Callable[[Decision], bytes | None],
    geometry_of: Callable[[Decision], Geometry | None],
) -> tuple[UInt8[np.ndarray, "h w 3"] | None, int]:
    """The sheet, RGB, and how many of its pictures are no longer kept; None where there is none to show."""
    groups, shown, gone = [], 0, 0
    for verdict, words in TITLES.items():
        flips = found.flipped(verdict)
        exhibits = [each for flip in flips[:MOST] if (each := _exhibit(flip, picture_of, geometry_of)) is not None]
        gone += min(len(flips), MOST) - len(exhibits)
        shown += len(exhibits)
        count = sum(many for (_, now), many in found.changes.items() if now is verdict)
        groups.append((title_of(words, count, room=len(exhibits)), exhibits))
    if not shown:
        return None, gone
    changed = sum(found.changes.values())
    line = f"{changed} of {found.whole.frames} frames would have been decided otherwise"
    missing = f"; pictures no longer kept: {gone}" if gone else ""
    return render_cards(groups, SheetHeader(title, line + missing, _figures(found))), gone


def _exhibit(
    flip: ChangedVerdict,
    picture_of: Callable[[Decision], bytes | None],
    geometry_of: Callable[[Decision], Geometry | None],
) -> AnnotatedFrame | None:
    geometry, encoded = geometry_of(flip.was), picture_of(flip.was)
    if geometry is None or encoded is None:
        return None
    at = flip.was.decided_at.astimezone().strftime("%d %b %H:%M:%S")
    return AnnotatedFrame(
        f"{at}, {flip.was.source.partition}:{flip.was.source.offset}", encoded, flip.now, geometry, was=flip.was.verdict
    )


def _figures(found: ThresholdReplay) -> Sequence[tuple[str, str]]:
    was, now = (f"{tally[Verdict.FAIL]}" for tally in (found.whole.was, found.whole.now))
    return [("rejects as it was", was), ("rejects as asked", now)]
