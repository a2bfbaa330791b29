"""Shifts: which one a moment falls into, by the hours at which they begin."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

USUAL = "06:00,14:00,22:00"


def hours_from(text: str) -> tuple[time, ...]:
    """The hours at which shifts begin, in order: 06:00,14:00,22:00. Raises UsageError."""
    try:
        hours = sorted({time.fromisoformat(each.strip()) for each in text.split(",")})
    except ValueError as error:
        raise UsageError(f"--shifts {text} must be times of day, as {USUAL}") from error
    return tuple(hours)


def shift_of(moment: datetime, hours: Sequence[time]) -> datetime:
    """When the shift of a moment began, in the moment's own zone."""
    today = [datetime.combine(moment.date(), hour, moment.tzinfo) for hour in hours]
    begun = [each for each in today if each <= moment]
    return begun[-1] if begun else today[-1] - timedelta(days=1)
