"""The request for a new bank after a lasting drift, where the settings allow it. The answer is a bank event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.command import Command, CommandKind
from monitoring.watch.views import Followed

if TYPE_CHECKING:
    from ingest.decision import Decision
    from monitoring.watch.settings import WatchSettings
    from monitoring.watch.views import Skipped

WHO = "drift"


def rebuild_request(decision: Decision, result: Followed | Skipped, settings: WatchSettings) -> Command | None:
    """The command that this decision leads to, if any: once an episode, when the window may hold what the line is now.

    Its id follows from the decision's, so that one that is read again requests nothing new.
    """
    if not isinstance(result, Followed) or result.after is None or result.lasted != settings.rebuild_after_frames:
        return None
    verdict = result.after.verdict
    if verdict.label not in settings.rebuild_on:
        return None
    return Command(
        id=f"drift-{decision.id}",
        view=decision.view,
        kind=CommandKind.REBUILD,
        who=WHO,
        why=f"{verdict.value}: noticed {result.lasted} frames ago",
        at=decision.decided_at,
    )
