"""What has just been decided: a few looks at the history a second, shared by all who watch."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING

import structlog

from monitoring.console.recent_scores import RecentScores
from monitoring.record.database import DatabaseError
from monitoring.record.schema import microseconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from monitoring.console.recent_scores import Score
    from monitoring.record.queries import RecordReader, ViewSummary

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.1
SEND_SECONDS = 0.05
KEEP_ALIVE_LOOKS = 300
"""Looks without news after which a comment is sent, so that proxies keep the connection."""


class LiveViews:
    """Looks at the views on a thread of its own."""

    def __init__(self, reader: RecordReader, stop: threading.Event) -> None:
        self._reader = reader
        self._stop = stop
        self._latest: Mapping[str, ViewSummary] = {}
        self._scores = RecentScores(reader)
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    @property
    def latest(self) -> Mapping[str, ViewSummary]:
        """Every view as of the last look."""
        return self._latest

    def scores(self, view: str) -> Sequence[Score]:
        """Verdict and score ratio of a view's last decisions, the oldest first. Raises DatabaseError."""
        return self._scores.of(view)

    async def events(self, gone: Callable[[], Awaitable[bool]], view: str | None = None) -> AsyncIterator[str]:
        """Server-sent events: the last decision of each view that went on, of one view or of all."""
        sent: dict[str, tuple[object, object]] = {}
        quiet = 0
        while not self._stop.is_set() and not await gone():
            news = []
            for summary in self._latest.values():
                mark = (summary.last_id, summary.picture_id)
                if view in (None, summary.view) and sent.get(summary.view) != mark:
                    sent[summary.view] = mark
                    news.append(_as_json(summary))
            quiet = 0 if news else quiet + 1
            if news:
                yield f"event: decided\ndata: {json.dumps(news)}\n\n"
            elif quiet % KEEP_ALIVE_LOOKS == 0:
                yield ": still here\n\n"
            await asyncio.sleep(SEND_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._latest = {each.view: each for each in self._reader.views()}
                self._scores.follow(self._latest.values())
            except DatabaseError as error:
                log.warning("history_not_read", cause=str(error))
            self._stop.wait(LOOK_SECONDS)


def _as_json(summary: ViewSummary) -> dict[str, object]:
    return {
        "view": summary.view,
        "at": microseconds(summary.last_at),
        "id": summary.last_id,
        "verdict": summary.last_verdict,
        "ratio": summary.last_ratio,
    }
