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
    from softpatch.images.geometry import FrameGeometry

MOST = 12
"""Pictures of each kind."""
TITLES = {
    Verdict.FAIL: "Would have failed",
    Verdict.PASS: "Would have passed",
    Verdict.UNDECIDED: "Would have been undecided",
}


def changed_verdicts_sheet(
    replay: ThresholdReplay,
    title: str,
    *,
    first_topic: str,
    picture_of: Callable[[Decision], bytes | None],
    geometry_of: Callable[[Decision], FrameGeometry | None],
) -> tuple[UInt8[np.ndarray, "h w 3"] | None, int]:
    """The sheet, RGB, and how many of its pictures are no longer kept; None where there is none to show.

    `first_topic`: of frames, that which is not named on the sheet.
    """
    groups, shown, expired = [], 0, 0
    for verdict, title_start in TITLES.items():
        changes = replay.changed_to(verdict)[:MOST]
        drawn = (_annotated(change, first_topic, picture_of, geometry_of) for change in changes)
        frames = [each for each in drawn if each is not None]
        expired += len(changes) - len(frames)
        shown += len(frames)
        count = sum(many for (_, now), many in replay.changes.items() if now is verdict)
        groups.append((title_of(title_start, count, room=len(frames)), frames))
    if not shown:
        return None, expired
    changed = sum(replay.changes.values())
    line = f"{changed} of {replay.whole.frames} frames would have been decided otherwise"
    missing = f"; pictures no longer kept: {expired}" if expired else ""
    return render_cards(groups, SheetHeader(title, line + missing, _figures(replay))), expired


def _annotated(
    change: ChangedVerdict,
    first_topic: str,
    picture_of: Callable[[Decision], bytes | None],
    geometry_of: Callable[[Decision], FrameGeometry | None],
) -> AnnotatedFrame | None:
    was = change.was
    geometry, encoded = geometry_of(was), picture_of(was)
    if geometry is None or encoded is None:
        return None
    at = was.decided_at.astimezone().strftime("%d %b %H:%M:%S")
    name = f"{at}, {was.source.short(first_topic)}"
    return AnnotatedFrame(name, encoded, change.now, geometry, was=was.verdict)


def _figures(replay: ThresholdReplay) -> Sequence[tuple[str, str]]:
    was, now = (f"{tally[Verdict.FAIL]}" for tally in (replay.whole.was, replay.whole.now))
    return [("rejects as it was", was), ("rejects as requested", now)]
