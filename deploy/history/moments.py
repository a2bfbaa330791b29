"""Moments as a person writes them in `--since`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from deploy.errors import UsageError

UNITS_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment_from(text: str, *, now: datetime) -> datetime:
    """A moment written as RFC 3339, or as how long ago: 30m, 2h, 7d. Raises UsageError."""
    if ago := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return now - timedelta(seconds=int(ago[1]) * UNITS_SECONDS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time: write 30m, 2h, 7d or 2026-11-24T08:00:00+00:00") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
