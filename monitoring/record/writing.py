"""Writing the history: each decision once, and what is counted from it in the same transaction."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import String, any_, bindparam, case, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ingest.decision import Verdict
from monitoring.record.rows import MinuteCounts, counts_by_minute, decision_row
from monitoring.record.schema import (
    PictureState,
    UtcMoment,
    bank_states,
    decisions,
    microseconds,
    minutes,
    views,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Table

    from ingest.bank_state import BankState
    from ingest.contract import Moment
    from ingest.decision import Decision
    from monitoring.record.database import Database
    from monitoring.record.rows import PassSample

REPEATED_WITHIN = timedelta(days=2)
"""A decision id that comes again later than this is another decision: a line that counts its parts anew."""
DAY = timedelta(days=1)
PARTITION = "decisions_"
PARTITION_LOCK = 7_268_424
ANALYZED_AT = (1_000, 10_000, 100_000)
"""Rows of a new day at which PostgreSQL is told to count it: until it has, it reads the day whole for each question."""


class ViewMessage(Protocol):
    """A message of a topic by view: an event, or a person's word."""

    @property
    def view(self) -> str:
        """Whose."""
        ...

    @property
    def at(self) -> Moment:
        """When."""
        ...

    def to_bytes(self) -> bytes:
        """As on the wire."""
        ...


class RecordWriter:
    """Writes decisions and events. Two writers may write the same record: it counts once."""

    def __init__(self, database: Database, sample: PassSample) -> None:
        self._database = database
        self._sample = sample
        self._days: set[datetime] = set()
        self._written: Counter[datetime] = Counter()

    def decisions(self, batch: Sequence[Decision]) -> int:
        """Write what is new of a batch, oldest first; returns how many that were. Raises DatabaseError."""
        if not batch:
            return 0
        self._make_days(batch)
        with self._database.writing() as connection:
            new = _not_yet_written(connection, batch)
            if new:
                _insert_decisions(connection, [decision_row(each, self._sample.picture_of(each)) for each in new])
                _add_to_minutes(connection, new)
                _add_to_views(connection, new)
        self._analyze_days(new)
        return len(new)

    def messages(self, table: Table, batch: Iterable[tuple[int, ViewMessage]]) -> None:
        """Write messages of a topic by their offsets. Raises DatabaseError."""
        rows = [
            {"offset": offset, "view": each.view, "at": each.at, "message": each.to_bytes().decode()}
            for offset, each in batch
        ]
        if not rows:  # none of them could be read
            return
        with self._database.writing() as connection:
            connection.execute(_insert(connection, table).on_conflict_do_nothing(), rows)

    def bank_state(self, state: BankState) -> None:
        """Write the state of a view; one of an earlier epoch does not come back. Raises DatabaseError."""
        row = {"view": state.view, "epoch": state.epoch, "at": state.at, "message": state.to_bytes().decode()}
        with self._database.writing() as connection:
            statement = _insert(connection, bank_states).values(row)
            newer = statement.excluded
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["view"],
                    set_={"epoch": newer.epoch, "at": newer.at, "message": newer.message},
                    where=bank_states.c.epoch <= newer.epoch,
                )
            )

    def _make_days(self, batch: Sequence[Decision]) -> None:
        """On PostgreSQL each day has its partition."""
        if not self._database.partitioned:
            return
        wanted = {day_of(each.decided_at) for each in batch} - self._days
        if not wanted:
            return
        with self._database.writing() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": PARTITION_LOCK})
            for day in sorted(wanted):
                connection.execute(
                    text(
                        f"CREATE TABLE IF NOT EXISTS {PARTITION}{day:%Y%m%d} PARTITION OF decisions "
                        f"FOR VALUES FROM ({microseconds(day)}) TO ({microseconds(day + DAY)})"
                    )
                )
        self._days |= wanted

    def _analyze_days(self, new: Sequence[Decision]) -> None:
        """What autovacuum would do in a minute, or in several."""
        if not self._database.partitioned:
            return
        for day, count in Counter(day_of(each.decided_at) for each in new).items():
            before = self._written[day]
            self._written[day] += count
            if any(before < rows <= before + count for rows in ANALYZED_AT):
                with self._database.writing() as connection:
                    connection.execute(text(f"ANALYZE {PARTITION}{day:%Y%m%d}"))


def day_of(moment: datetime) -> datetime:
    """The beginning of its day, in UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def set_picture(database: Database, rows: Sequence[Any], state: PictureState, sizes: Sequence[int]) -> None:
    """Note what became of the pictures of some rows (`view`, `decided_at`, `id`), and what they take in the store."""
    if not rows:
        return
    with database.writing() as connection:
        connection.execute(
            update(decisions)
            .where(decisions.c.decided_at == bindparam("at", type_=UtcMoment), decisions.c.id == bindparam("key"))
            .values(picture=state.value, picture_bytes=bindparam("size")),
            [{"at": row.decided_at, "key": row.id, "size": size} for row, size in zip(rows, sizes, strict=True)],
        )
        if state is PictureState.KEPT:
            _add_pictures_to_views(connection, rows)


def _add_pictures_to_views(connection: Connection, rows: Sequence[Any]) -> None:
    """In the order of `_add_to_views`: transactions that lock rows in different orders wait for each other."""
    newest = {row.view: row for row in sorted(rows, key=lambda row: row.decided_at)}
    later = or_(views.c.picture_at.is_(None), views.c.picture_at <= bindparam("at", type_=UtcMoment))
    connection.execute(
        update(views)
        .where(views.c.view == bindparam("name"), later)
        .values(picture_at=bindparam("at", type_=UtcMoment), picture_id=bindparam("key")),
        [{"name": view, "at": row.decided_at, "key": row.id} for view, row in sorted(newest.items())],
    )


def forget_before(database: Database, moment: datetime) -> int:
    """Drop decisions and counts from before a moment, on PostgreSQL by whole days; returns rows or partitions gone."""
    with database.writing() as connection:
        connection.execute(delete(minutes).where(minutes.c.minute < moment))
        if not database.partitioned:
            return connection.execute(delete(decisions).where(decisions.c.decided_at < moment)).rowcount
        old = [name for name in _partitions(connection) if name < f"{PARTITION}{moment.astimezone(UTC):%Y%m%d}"]
        for name in old:
            connection.execute(text(f"DROP TABLE {name}"))
        return len(old)


def _partitions(connection: Connection) -> list[str]:
    found = connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'decisions'::regclass ORDER BY 1")
    )
    return [str(name) for (name,) in found]


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def _not_yet_written(connection: Connection, batch: Sequence[Decision]) -> list[Decision]:
    """The decisions of a batch that have no row, the first of each id."""
    since = min(each.decided_at for each in batch) - REPEATED_WITHIN
    until = max(each.decided_at for each in batch) + REPEATED_WITHIN
    written = select(decisions.c.id).where(
        _is_among(connection, {each.id for each in batch}), decisions.c.decided_at.between(since, until)
    )
    seen = {found for (found,) in connection.execute(written)}
    new = []
    for each in batch:
        if each.id not in seen:
            seen.add(each.id)
            new.append(each)
    return new


def _is_among(connection: Connection, ids: set[str]) -> ColumnElement[bool]:
    """PostgreSQL takes them as one value: a statement with a thousand is made and read anew for each number of them."""
    if connection.dialect.name != "postgresql":
        return decisions.c.id.in_(ids)
    return decisions.c.id == any_(bindparam("ids", sorted(ids), type_=postgresql.ARRAY(String)))


def _insert_decisions(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """PostgreSQL takes them by COPY: half the time of an INSERT for each."""
    if connection.dialect.name != "postgresql":
        connection.execute(insert(decisions), rows)
        return
    columns = [(each.name, each.type.bind_processor(connection.dialect)) for each in decisions.columns]
    names = ", ".join(name for name, _ in columns)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY decisions ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] if process is None else process(row[name]) for name, process in columns])


def _add_to_minutes(connection: Connection, new: Sequence[Decision]) -> None:
    found = counts_by_minute(new)
    statement = _insert(connection, minutes)
    more = statement.excluded
    summed = [name for name in MinuteCounts.__dataclass_fields__ if name != "ratio_max"]
    larger = case((more.ratio_max > minutes.c.ratio_max, more.ratio_max), else_=minutes.c.ratio_max)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["view", "minute"],
            set_={**{name: minutes.c[name] + more[name] for name in summed}, "ratio_max": larger},
        ),
        [{"view": view, "minute": minute, **vars(counts)} for (view, minute), counts in sorted(found.items())],
    )


def _add_to_views(connection: Connection, new: Sequence[Decision]) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for each in new:
        row = rows.setdefault(
            each.view, {"view": each.view, "first_at": each.decided_at, "last_fail_at": None, "last_fail_id": None}
        )
        row |= {"last_at": each.decided_at, "last_id": each.id, "last_verdict": each.verdict.value}
        row["last_ratio"] = each.score_ratio
        if each.verdict is Verdict.FAIL:
            row |= {"last_fail_at": each.decided_at, "last_fail_id": each.id}
    statement = _insert(connection, views)
    newer = statement.excluded
    last = ("last_at", "last_id", "last_verdict", "last_ratio")
    later = newer.last_at >= views.c.last_at
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["view"],
            set_={
                **{name: case((later, newer[name]), else_=views.c[name]) for name in last},
                **{name: func.coalesce(newer[name], views.c[name]) for name in ("last_fail_at", "last_fail_id")},
            },
        ),
        [rows[view] for view in sorted(rows)],
    )
