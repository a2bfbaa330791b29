"""The last scores of each view, kept in memory as they are recorded: a page of many views does not ask for each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from monitoring.record.queries import RecordReader, ViewSummary

    Score = tuple[str, float | None]
    """Verdict and score ratio."""

KEPT = 90
"""Scores of a view."""
TOGETHER = timedelta(seconds=30)
"""Views that went on within so much time are asked for in one question."""
MOST = 5000
"""Decisions of one answer; where there may be more, each view is asked for."""


class RecentScores:
    """Follows the history on one thread; any thread may read."""

    def __init__(self, reader: RecordReader, *, most: int = MOST) -> None:
        self._reader = reader
        self._most = most
        self._scores: dict[str, Sequence[Score]] = {}
        self._known_until: dict[str, datetime] = {}

    def of(self, view: str) -> Sequence[Score]:
        """The last scores of a view, the oldest first; from the database where it was not followed yet."""
        known = self._scores.get(view)
        return self._asked(view) if known is None else known

    def follow(self, views: Iterable[ViewSummary]) -> None:
        """Take what these views have decided since; any other is gone and is forgotten.

        Raises DatabaseError: the next time it is taken all the same.
        """
        last_at = {each.view: each.last_at for each in views}
        for gone in self._known_until.keys() - last_at.keys():
            del self._scores[gone], self._known_until[gone]
        news = max((at for view, at in last_at.items() if self._behind(view, at)), default=None)
        if news is None:
            return
        lately = [at for at in self._known_until.values() if at > news - TOGETHER]
        if lately:
            self._take_all(min(lately))
        for view, at in last_at.items():
            if self._behind(view, at):
                self._scores[view], self._known_until[view] = self._asked(view), at

    def _behind(self, view: str, last_at: datetime) -> bool:
        return view not in self._known_until or self._known_until[view] < last_at

    def _take_all(self, since: datetime) -> None:
        """What all views decided behind a moment, for those that are known until then or longer."""
        rows = self._reader.all_after(since, most=self._most)
        if len(rows) == self._most:
            return
        found: dict[str, list[Score]] = {}
        until: dict[str, datetime] = {}
        for at, view, verdict, ratio in rows:
            if view in self._known_until and since <= self._known_until[view] < at:
                found.setdefault(view, []).append((verdict, ratio))
                until[view] = at
        for view, scores in found.items():
            self._scores[view] = [*self._scores[view], *scores][-KEPT:]
        self._known_until |= until

    def _asked(self, view: str) -> Sequence[Score]:
        return [(verdict, ratio) for _, _, verdict, ratio in self._reader.ratios(view, last=KEPT)]
