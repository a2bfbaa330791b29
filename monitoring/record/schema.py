"""The tables of the history, the same on SQLite and PostgreSQL; moments are microseconds of the epoch, in UTC.

PostgreSQL keeps `decisions` in partitions of a day each, which are dropped whole when they expire. Counts per minute
are kept beside the decisions, so that a page over a month reads thousands of rows and not millions.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class PictureState(StrEnum):
    """What is with the picture that a decision is about."""

    WAITING = "waiting"
    """It is to be kept, and not fetched yet."""
    KEPT = "kept"
    NOT_KEPT = "not_kept"
    """A pass beyond the sample; Kafka has it for as long as it has frames."""
    EXPIRED = "expired"
    """It was kept, and its time is over."""
    MISSING = "missing"
    """Kafka had it no more when it was to be fetched."""


def microseconds(moment: datetime) -> int:
    """A moment as the database has it."""
    return (moment - EPOCH) // MICROSECOND


def moment_of(value: int) -> datetime:
    """The moment, in UTC."""
    return EPOCH + value * MICROSECOND


class UtcMoment(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds: both databases compare and divide them alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002  SQLAlchemy's
        """Into the database."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  the same
        """Out of it, in UTC."""
        return None if value is None else moment_of(value)


metadata = MetaData()

decisions = Table(
    "decisions",
    metadata,
    Column("decided_at", UtcMoment, primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("view", String(401), nullable=False),
    Column("verdict", String(9), nullable=False),
    Column("reason", String(20)),
    Column("provisional", Boolean, nullable=False),
    Column("score", Float),
    Column("threshold", Float),
    Column("score_ratio", Float),
    Column("bank", String(64)),
    Column("epoch", Integer),
    Column("frame_id", String(256), nullable=False),
    Column("part_serial", Text),
    Column("frames_partition", Integer, nullable=False),
    Column("frames_offset", BigInteger, nullable=False),
    Column("picture", String(8), nullable=False),
    Column("picture_bytes", Integer, nullable=False),
    Column("rest", LargeBinary, nullable=False),
    Column("frames_topic", String(249)),
    Index("decisions_id", "id"),
    Index("decisions_view", "view", "decided_at"),
    Index("decisions_view_verdict", "view", "verdict", "decided_at"),
    Index(
        "decisions_part",
        "part_serial",
        sqlite_where=text("part_serial IS NOT NULL"),
        postgresql_where=text("part_serial IS NOT NULL"),
    ),
    Index(
        "decisions_waiting",
        "decided_at",
        sqlite_where=text("picture = 'waiting'"),
        postgresql_where=text("picture = 'waiting'"),
    ),
    Index(
        "decisions_kept",
        "verdict",
        "decided_at",
        sqlite_where=text("picture = 'kept'"),
        postgresql_where=text("picture = 'kept'"),
    ),
    postgresql_partition_by="RANGE (decided_at)",
)
"""`rest` holds the fields of the decision's message that have no column, as JSON: of a pass without a picture without
map and sketch, of every other decision with them, and compressed. Without `frames_topic` the frame lies in the first
topic of frames."""

minutes = Table(
    "minutes",
    metadata,
    Column("view", String(401), primary_key=True),
    Column("minute", UtcMoment, primary_key=True),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("undecided", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("ratio_sum", Float, nullable=False),
    Column("ratio_max", Float, nullable=False),
    Column("pictured", Integer, nullable=False),
    Column("brightness_sum", Float, nullable=False),
    Column("contrast_sum", Float, nullable=False),
    Column("sharpness_sum", Float, nullable=False),
)

views = Table(
    "views",
    metadata,
    Column("view", String(401), primary_key=True),
    Column("first_at", UtcMoment, nullable=False),
    Column("last_at", UtcMoment, nullable=False),
    Column("last_id", String(64), nullable=False),
    Column("last_verdict", String(9), nullable=False),
    Column("last_ratio", Float),
    Column("last_fail_at", UtcMoment),
    Column("last_fail_id", String(64)),
    Column("picture_at", UtcMoment),
    Column("picture_id", String(64)),
)

bank_states = Table(
    "bank_states",
    metadata,
    Column("view", String(401), primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("at", UtcMoment, nullable=False),
    Column("message", Text, nullable=False),
)


def _messages(name: str) -> Table:
    """Messages of a topic with one partition, by their offset."""
    return Table(
        name,
        metadata,
        Column("offset", BigInteger, primary_key=True, autoincrement=False),
        Column("view", String(401), nullable=False),
        Column("at", UtcMoment, nullable=False),
        Column("message", Text, nullable=False),
        Index(f"{name}_view", "view", "at"),
    )


bank_events = _messages("bank_events")
drift_events = _messages("drift_events")
words = _messages("words")
"""What people said of frames and groups: the topic `feedback`."""

users = Table(
    "users",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("role", String(10), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", UtcMoment, nullable=False),
)

secrets = Table(
    "secrets", metadata, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False)
)
"""The key that session cookies are signed with: the same for every process of the console."""
