"""Shifts: which one a moment falls into, by the hours at which they begin."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, tzinfo

EXAMPLE = "06:00,14:00,22:00"


class BadShifts(ValueError):
    """Hours at which shifts begin, written wrongly."""


def hours_from(text: str) -> tuple[time, ...]:
    """The hours at which shifts begin, in order: 06:00,14:00,22:00. Raises BadShifts."""
    try:
        hours = sorted({time.fromisoformat(each.strip()) for each in text.split(",")})
    except ValueError as error:
        raise BadShifts(f"--shifts {text} must be times of day, as {EXAMPLE}") from error
    return tuple(hours)


def shift_of(moment: datetime, hours: Sequence[time], zone: tzinfo | None) -> datetime:
    """When the shift of a moment began, by the clock of a zone; None is the machine's own.

    A night in which clocks change is one shift: its beginning has the offset of the evening before.
    """
    today = moment.astimezone(zone).date()
    starts = [_instant(day, hour, zone) for day in (today - timedelta(days=1), today) for hour in hours]
    return max(start for start in starts if start <= moment).astimezone(zone)


def _instant(day: date, hour: time, zone: tzinfo | None) -> datetime:
    """An hour of a day by the clock of a zone, as UTC: within one zone Python compares clocks, not instants."""
    return datetime.combine(day, hour, zone).astimezone(UTC)
