"""What one decision did to its view's episode of drift, as the message that the history keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.drift_event import DriftEvent, DriftEventKind
from monitoring.watch.views import Skipped

if TYPE_CHECKING:
    from ingest.decision import Decision
    from monitoring.drift.episode import Episode
    from monitoring.watch.views import Followed


def drift_event(decision: Decision, result: Followed | Skipped) -> DriftEvent | None:
    """The event of an episode that this decision began, renamed or ended; None for most decisions."""
    if isinstance(result, Skipped):
        return None if result.over is None else _event(decision, DriftEventKind.OVER, result.over, "no calibration")
    before, after = result.before, result.after
    if after is None:
        if before is None:
            return None
        return _event(decision, DriftEventKind.OVER, before, "new bank" if result.first else "back within bounds")
    frames = after.noticed - after.began + result.lasted
    if before is None:
        return _event(decision, DriftEventKind.NOTICED, after, after.detail or "unlike the bank's window", frames)
    if before.verdict is not after.verdict:
        return _event(decision, DriftEventKind.RENAMED, after, _renamed(before, after), frames)
    return None


def _renamed(before: Episode, after: Episode) -> str:
    first = f"first called: {before.verdict.value}"
    return f"{after.detail}; {first}" if after.detail else first


def _event(decision: Decision, kind: DriftEventKind, episode: Episode, why: str, frames: int = 0) -> DriftEvent:
    return DriftEvent(
        view=decision.view,
        kind=kind,
        verdict=episode.verdict.value,
        why=why,
        decision_id=decision.id,
        frames=max(0, frames),
        at=decision.decided_at,
    )
