"""Builds by the clock: cron expressions on the time of the line, which is when the broker took its frames.

A line that stands has no time: what would have been due on an idle weekend is due with the first frame after it, once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


def checked_expression(expression: str) -> str:
    """The expression. Raises ValueError where it is no cron expression, or one of a day that never comes."""
    try:
        next(CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"{expression!r} is no cron expression ({error or 'no such day'}): write minute, hour, day, month and "
            "weekday, as in '0 2 * * *'"
        ) from error
    return expression


def latest_time_ms(expression: str, *, until_ms: int, time_zone: str) -> int:
    """The latest moment that the expression names, at or before `until_ms`; milliseconds since 1970."""
    until = datetime.fromtimestamp((until_ms // 1000) + 1, ZoneInfo(time_zone))  # backwards it begins before its start
    found = next(CronSim(expression, until, reverse=True))
    return int(found.timestamp() * 1000)
