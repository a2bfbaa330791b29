"""Numbers with their units, and times by the plant's clock, as a language writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from monitoring.console.settings import Language

NARROW = "\u202f"
"""A narrow space that does not break, between a number and its unit."""
ABSENT = "\u2013"
"""A dash."""
DATES = {"en": "%d %b %Y", "de": "%d.%m.%Y", "zh": "%Y-%m-%d"}
DAYS = {"en": "%d %b", "de": "%d.%m.", "zh": "%m-%d"}
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Formats:
    """How one reader sees numbers and times; `zone` None is the machine's own."""

    language: Language
    zone: tzinfo | None

    def number(self, value: float | None, digits: int = 2) -> str:
        """A number with so many decimals; a dash where there is none."""
        if value is None:
            return ABSENT
        text = f"{value:,.{digits}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "de" else text

    def count(self, value: int) -> str:
        """A whole number, in groups of thousands."""
        return self.number(value, 0)

    def percent(self, share: float | None, digits: int = 1) -> str:
        """A share of one, as per cent."""
        return ABSENT if share is None else f"{self.number(100 * share, digits)}{NARROW}%"

    def clock(self, moment: datetime) -> str:
        """The time of day, to the second."""
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def short(self, moment: datetime) -> str:
        """Day and minute."""
        local = moment.astimezone(self.zone)
        return f"{local.strftime(DAYS[self.language])} {local:%H:%M}"

    def moment(self, moment: datetime) -> str:
        """Day and second, with the zone's name."""
        local = moment.astimezone(self.zone)
        return f"{local.strftime(DATES[self.language])} {local:%H:%M:%S} {local.tzname()}"

    def exact(self, moment: datetime) -> str:
        """To the millisecond."""
        local = moment.astimezone(self.zone)
        return f"{local.strftime(DATES[self.language])} {local:%H:%M:%S}.{local.microsecond // 1000:03d}"

    def milliseconds(self, seconds: float | None) -> str:
        """A short time."""
        return ABSENT if seconds is None else f"{self.number(1000 * seconds, 1)}{NARROW}ms"

    def duration(self, seconds: float) -> str:
        """A long time, in its largest unit."""
        for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
            if seconds >= 2 * size:
                return f"{self.number(seconds / size, 0)}{NARROW}{unit}"
        return f"{self.number(max(0.0, seconds), 0)}{NARROW}s"

    def input_value(self, moment: datetime | None) -> str:
        """As an input of the kind datetime-local takes it, by the plant's clock."""
        return "" if moment is None else f"{moment.astimezone(self.zone):%Y-%m-%dT%H:%M}"


def zone_of(name: str | None) -> tzinfo | None:
    """The zone of a name; None is the machine's own."""
    return None if name is None else ZoneInfo(name)
