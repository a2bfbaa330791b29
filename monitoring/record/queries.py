"""What pages and reports ask of the history. Each question is answered by an index, or by the counts per minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import BigInteger, Select, func, select, type_coerce

from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.contract import BadMessage, Message
from ingest.drift_event import DriftEvent
from ingest.feedback import Feedback
from monitoring.record.rows import decision_of
from monitoring.record.schema import (
    PictureState,
    UtcMoment,
    bank_events,
    bank_states,
    decisions,
    drift_events,
    minutes,
    views,
    words,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, RowMapping, Table

    from ingest.decision import Decision, Reason, Verdict
    from monitoring.record.database import Database

_Kept = TypeVar("_Kept", bound=Message)

SAME_PART_DAYS = 30
"""How far from a part's decision its other frames are looked for."""
LATELY = timedelta(days=2)
"""A view's latest decisions are looked for so far back from its last one."""


@dataclass(frozen=True)
class RecordedDecision:
    """A decision of the history, and what is with its picture."""

    decision: Decision
    picture: PictureState


@dataclass(frozen=True)
class ViewSummary:
    """A view as the history has it: its first and last decision, its last reject, its newest kept picture."""

    view: str
    first_at: datetime
    last_at: datetime
    last_id: str
    last_verdict: str
    last_ratio: float | None
    last_fail_at: datetime | None
    last_fail_id: str | None
    picture_at: datetime | None
    picture_id: str | None


@dataclass(frozen=True)
class DecisionFilter:
    """Which decisions of a view; None: whatever."""

    verdict: Verdict | None = None
    reason: Reason | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before this moment."""
    ratio_from: float | None = None
    ratio_to: float | None = None


@dataclass(frozen=True)
class VerdictCounts:
    """Decisions by verdict."""

    passed: int = 0
    failed: int = 0
    undecided: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.undecided

    @property
    def decided(self) -> int:
        """Passes and fails: what a reject rate is of."""
        return self.passed + self.failed


@dataclass(frozen=True)
class TimeBucket:
    """What a view decided from `at` on, for as long as buckets are; means are None where no frame has the quantity."""

    at: datetime
    counts: VerdictCounts
    ratio_mean: float | None
    ratio_max: float | None
    brightness: float | None
    contrast: float | None
    sharpness: float | None


class RecordReader:
    """Reads the history. Any thread may use it; all methods raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def views(self) -> list[ViewSummary]:
        """Every view that ever decided, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(views).order_by(views.c.view)).mappings().all()
        return [ViewSummary(**row) for row in rows]

    def view(self, name: str) -> ViewSummary | None:
        """One view; None where it is not in the history."""
        with self._database.reading() as connection:
            row = connection.execute(select(views).where(views.c.view == name)).mappings().one_or_none()
        return None if row is None else ViewSummary(**row)

    def counts(self, *, since: datetime, until: datetime) -> dict[str, VerdictCounts]:
        """Decisions of each view within a time, by whole minutes."""
        summed = (
            select(
                minutes.c.view,
                func.sum(minutes.c.passed),
                func.sum(minutes.c.failed),
                func.sum(minutes.c.undecided),
            )
            .where(minutes.c.minute >= since, minutes.c.minute < until)
            .group_by(minutes.c.view)
        )
        with self._database.reading() as connection:
            rows = connection.execute(summed).all()
        return {view: VerdictCounts(int(passed), int(failed), int(open_)) for view, passed, failed, open_ in rows}

    def ratios(self, view: str, *, last: int) -> list[tuple[datetime, str, str, float | None]]:
        """Moment, id, verdict and score ratio of a view's latest decisions, the oldest first."""
        newest = (
            select(decisions.c.decided_at, decisions.c.id, decisions.c.verdict, decisions.c.score_ratio)
            .where(decisions.c.view == view)
            .order_by(decisions.c.decided_at.desc())
            .limit(last)
        )
        with self._database.reading() as connection:
            rows = connection.execute(self._lately(connection, newest, view)).all()
        return [(at, key, verdict, ratio) for at, key, verdict, ratio in reversed(rows)]

    def after(self, view: str, moment: datetime, *, most: int) -> list[tuple[datetime, str, str, float | None]]:
        """The same of the decisions behind a moment, the oldest first."""
        later = (
            select(decisions.c.decided_at, decisions.c.id, decisions.c.verdict, decisions.c.score_ratio)
            .where(decisions.c.view == view, decisions.c.decided_at > moment)
            .order_by(decisions.c.decided_at)
            .limit(most)
        )
        with self._database.reading() as connection:
            return [(at, key, verdict, ratio) for at, key, verdict, ratio in connection.execute(later)]

    def all_after(self, moment: datetime, *, most: int) -> list[tuple[datetime, str, str, float | None]]:
        """Moment, view, verdict and score ratio of what all views decided behind a moment, the oldest first."""
        later = (
            select(decisions.c.decided_at, decisions.c.view, decisions.c.verdict, decisions.c.score_ratio)
            .where(decisions.c.decided_at > moment)
            .order_by(decisions.c.decided_at)
            .limit(most)
        )
        with self._database.reading() as connection:
            return [(at, view, verdict, ratio) for at, view, verdict, ratio in connection.execute(later)]

    def decisions(
        self, view: str, wanted: DecisionFilter, *, most: int, pictured: bool = False
    ) -> list[RecordedDecision]:
        """A view's decisions that fit, the newest first; `pictured`: only those whose picture is kept or comes."""
        found = select(decisions).where(decisions.c.view == view).order_by(decisions.c.decided_at.desc()).limit(most)
        for column, low, high in (
            (decisions.c.decided_at, wanted.since, wanted.until),
            (decisions.c.score_ratio, wanted.ratio_from, wanted.ratio_to),
        ):
            found = found if low is None else found.where(column >= low)
            found = found if high is None else found.where(column < high)
        if wanted.verdict is not None:
            found = found.where(decisions.c.verdict == wanted.verdict.value)
        if wanted.reason is not None:
            found = found.where(decisions.c.reason == wanted.reason.value)
        if pictured:
            found = found.where(decisions.c.picture.in_([PictureState.KEPT.value, PictureState.WAITING.value]))
        with self._database.reading() as connection:
            rows = connection.execute(found).all()
        return [each for row in rows if (each := _recorded(row)) is not None]

    def decision(self, at: datetime, key: str) -> RecordedDecision | None:
        """One decision; None where the history has it no more."""
        one = select(decisions).where(decisions.c.decided_at == at, decisions.c.id == key)
        with self._database.reading() as connection:
            row = connection.execute(one).one_or_none()
        return None if row is None else _recorded(row)

    def found_by(self, key: str) -> RecordedDecision | None:
        """The latest decision of an id."""
        one = select(decisions).where(decisions.c.id == key).order_by(decisions.c.decided_at.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(one).one_or_none()
        return None if row is None else _recorded(row)

    def beside(self, decision: Decision) -> tuple[tuple[datetime, str] | None, tuple[datetime, str] | None]:
        """Moment and id of the view's decision before this one, and of the one after it."""
        at, place = decisions.c.decided_at, (decisions.c.decided_at, decisions.c.id)
        of_view = select(*place).where(decisions.c.view == decision.view)
        before = of_view.where(at < decision.decided_at).order_by(at.desc()).limit(1)
        after = of_view.where(at > decision.decided_at).order_by(at).limit(1)
        with self._database.reading() as connection:
            earlier, later = (connection.execute(each).one_or_none() for each in (before, after))
        return (None if earlier is None else (earlier[0], earlier[1]), None if later is None else (later[0], later[1]))

    def same_part(self, decision: Decision, *, most: int = 24) -> list[RecordedDecision]:
        """All frames of the decision's part, of every view, the oldest first; none where it has no serial number."""
        if decision.part_serial is None:
            return []
        near = timedelta(days=SAME_PART_DAYS)
        found = (
            select(decisions)
            .where(
                decisions.c.part_serial == decision.part_serial,
                decisions.c.decided_at.between(decision.decided_at - near, decision.decided_at + near),
            )
            .order_by(decisions.c.decided_at)
            .limit(most)
        )
        with self._database.reading() as connection:
            rows = connection.execute(found).all()
        return [each for row in rows if (each := _recorded(row)) is not None]

    def buckets(self, view: str, *, since: datetime, until: datetime, seconds: int) -> list[TimeBucket]:
        """A view's counts and means over time, in buckets of whole minutes."""
        width = max(60, seconds // 60 * 60) * 1_000_000
        start = type_coerce(type_coerce(minutes.c.minute, BigInteger) // width * width, UtcMoment)
        sums = ("passed", "failed", "undecided", "scored", "ratio_sum", "pictured")
        facts = ("brightness_sum", "contrast_sum", "sharpness_sum")
        summed = (
            select(
                start.label("at"),
                *(func.sum(minutes.c[name]).label(name) for name in (*sums, *facts)),
                func.max(minutes.c.ratio_max).label("ratio_max"),
            )
            .where(minutes.c.view == view, minutes.c.minute >= since, minutes.c.minute < until)
            .group_by(start)
            .order_by(start)
        )
        with self._database.reading() as connection:
            return [_bucket(row) for row in connection.execute(summed).mappings()]

    def bank_states(self) -> dict[str, BankState]:
        """The last state of each view."""
        with self._database.reading() as connection:
            rows = connection.execute(select(bank_states.c.view, bank_states.c.message)).all()
        return {view: state for view, message in rows if (state := _message(BankState, message)) is not None}

    def bank_events(
        self, view: str | None = None, *, since: datetime | None = None, most: int = 200
    ) -> list[BankEvent]:
        """What happened to banks, the newest first."""
        return self._messages(bank_events, BankEvent, view, since, most)

    def drift_events(
        self, view: str | None = None, *, since: datetime | None = None, most: int = 200
    ) -> list[DriftEvent]:
        """Steps of episodes of drift, the newest first."""
        return self._messages(drift_events, DriftEvent, view, since, most)

    def last_drift_events(self) -> list[DriftEvent]:
        """The last step of each view that ever drifted."""
        last = select(func.max(drift_events.c.offset)).group_by(drift_events.c.view)
        with self._database.reading() as connection:
            texts = (
                connection.execute(select(drift_events.c.message).where(drift_events.c.offset.in_(last)))
                .scalars()
                .all()
            )
        return [message for text in texts if (message := _message(DriftEvent, text)) is not None]

    def words(self, view: str | None = None, *, since: datetime | None = None, most: int = 200) -> list[Feedback]:
        """What people said of frames and groups, the newest first."""
        return self._messages(words, Feedback, view, since, most)

    def answer_to(self, view: str, request: str) -> BankEvent | None:
        """The event that answers a command or a word; None while there is none."""
        return next((each for each in self.bank_events(view, most=50) if each.command_id == request), None)

    def _messages(
        self, table: Table, kind: type[_Kept], view: str | None, since: datetime | None, most: int
    ) -> list[_Kept]:
        found = select(table.c.message).order_by(table.c.offset.desc()).limit(most)
        if view is not None:
            found = found.where(table.c.view == view)
        if since is not None:
            found = found.where(table.c.at >= since)
        with self._database.reading() as connection:
            texts = connection.execute(found).scalars().all()
        return [message for text in texts if (message := _message(kind, text)) is not None]

    def _lately(self, connection: Connection, newest: Select[Any], view: str) -> Select[Any]:
        """With a bound on the time, from the view's own row: PostgreSQL then opens the partitions of a few days."""
        last = connection.execute(select(views.c.last_at).where(views.c.view == view)).scalar_one_or_none()
        return newest if last is None else newest.where(decisions.c.decided_at > last - LATELY)


def minute_of(moment: datetime) -> datetime:
    """The beginning of its minute, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def _recorded(row: Row[*tuple[Any, ...]]) -> RecordedDecision | None:
    """None where a later release wrote it."""
    try:
        return RecordedDecision(decision_of(row), PictureState(row.picture))
    except BadMessage:
        return None


def _message(kind: type[_Kept], text: str) -> _Kept | None:
    try:
        return kind.from_bytes(text.encode())
    except BadMessage:
        return None


def _bucket(row: RowMapping) -> TimeBucket:
    def mean(total: float, count: int) -> float | None:
        return total / count if count else None

    return TimeBucket(
        at=row["at"],
        counts=VerdictCounts(int(row["passed"]), int(row["failed"]), int(row["undecided"])),
        ratio_mean=mean(row["ratio_sum"], row["scored"]),
        ratio_max=row["ratio_max"] if row["scored"] else None,
        brightness=mean(row["brightness_sum"], row["pictured"]),
        contrast=mean(row["contrast_sum"], row["pictured"]),
        sharpness=mean(row["sharpness_sum"], row["pictured"]),
    )
