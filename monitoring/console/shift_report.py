"""What a shift report says: rates with their intervals, rejects by look, and what changed. Values, no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ingest.bank_event import BankEventKind
from ingest.decision import Verdict
from monitoring.console.looks import kinds_of, usual_distance
from monitoring.record.queries import DecisionFilter, VerdictCounts, minute_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ingest.bank_event import BankEvent
    from ingest.decision import Decision
    from ingest.drift_event import DriftEvent
    from ingest.feedback import Feedback
    from monitoring.console.looks import RejectKind
    from monitoring.record.queries import RecordReader

MOST_REJECTS = 4000
"""Of a view and a shift that are grouped by look: the newest."""
MOST_PASSES = 200
NINETY_FIVE = 1.96
TOLD = frozenset(BankEventKind) - {BankEventKind.COMMAND_REFUSED, BankEventKind.FEEDBACK_REFUSED}


@dataclass(frozen=True)
class RateInterval:
    """A share of decisions with its interval of 95 in 100 (Wilson)."""

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class ShiftOfView:
    """One view in a shift, and in the time as long before it."""

    view: str
    counts: VerdictCounts
    rejected: RateInterval | None
    before: RateInterval | None

    @property
    def changed(self) -> bool:
        """Whether the intervals of both times have nothing in common."""
        if self.rejected is None or self.before is None:
            return False
        return self.rejected.low > self.before.high or self.rejected.high < self.before.low


@dataclass(frozen=True)
class ShiftReport:
    """A shift, of all views or of one."""

    since: datetime
    until: datetime
    views: Sequence[ShiftOfView]
    kinds: Sequence[RejectKind]
    worst: Sequence[Decision]
    bank_events: Sequence[BankEvent]
    drift_events: Sequence[DriftEvent]
    words: Sequence[Feedback]

    @property
    def counts(self) -> VerdictCounts:
        """Of all views together."""
        parts = [each.counts for each in self.views]
        return VerdictCounts(
            sum(each.passed for each in parts),
            sum(each.failed for each in parts),
            sum(each.undecided for each in parts),
        )

    @property
    def rejected(self) -> RateInterval | None:
        """Of all views together."""
        return wilson(self.counts.failed, self.counts.decided)


def wilson(hits: int, of: int) -> RateInterval | None:
    """The share of hits with the interval of Wilson (1927); None of nothing."""
    if of == 0:
        return None
    share, square = hits / of, NINETY_FIVE**2
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = NINETY_FIVE * sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return RateInterval(share, max(0.0, middle - half), min(1.0, middle + half))


def shift_report(reader: RecordReader, *, since: datetime, until: datetime, view: str | None = None) -> ShiftReport:
    """The report of a time. Raises DatabaseError."""
    counts = reader.counts(since=minute_of(since), until=until)
    before = reader.counts(since=minute_of(since - (until - since)), until=minute_of(since))
    names = sorted(counts) if view is None else [name for name in counts if name == view]
    rows = [_row(name, counts[name], before.get(name)) for name in names]
    wanted = DecisionFilter(verdict=Verdict.FAIL, since=since, until=until)
    rejects = [each.decision for name in names for each in reader.decisions(name, wanted, most=MOST_REJECTS)]
    return ShiftReport(
        since=since,
        until=until,
        views=sorted(rows, key=lambda row: -(row.rejected.share if row.rejected else 0.0)),
        kinds=kinds_of(rejects, {name: _usual(reader, name, since, until) for name in names}),
        worst=sorted(rejects, key=lambda each: -(each.score_ratio or 0.0))[:12],
        bank_events=[each for each in reader.bank_events(view, since=since) if each.at < until and each.kind in TOLD],
        drift_events=[each for each in reader.drift_events(view, since=since) if each.at < until],
        words=[each for each in reader.words(view, since=since) if each.at < until],
    )


def _usual(reader: RecordReader, name: str, since: datetime, until: datetime) -> float | None:
    """The usual distance of the view's passes in this time."""
    wanted = DecisionFilter(verdict=Verdict.PASS, since=since, until=until)
    return usual_distance([each.decision for each in reader.decisions(name, wanted, most=MOST_PASSES, pictured=True)])


def _row(name: str, counts: VerdictCounts, before: VerdictCounts | None) -> ShiftOfView:
    earlier = None if before is None else wilson(before.failed, before.decided)
    return ShiftOfView(name, counts, wilson(counts.failed, counts.decided), earlier)
