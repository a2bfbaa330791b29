"""The history's database: opened by URL, brought to the present tables, and written to by one connection at a time.

DatabaseError
+-- BadDatabaseAddress    the address is none, or its driver is not installed
+-- DatabaseUnreachable   it cannot be opened, or does not answer
+-- NewerDatabase         a later release has changed its tables
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0
"""How long a writer waits for another one before the database counts as not answering."""
MIGRATION_LOCK = 7_268_423
"""Of PostgreSQL's advisory locks: two processes that start together bring the tables up to date one after another."""
POOL_CONNECTIONS, POOL_MORE = 5, 15
PLANNED_ANEW = {"prepare_threshold": None}
"""Each question is planned for its own times: a plan kept for all of them reads every row of the days it asks about."""


class DatabaseError(Exception):
    """The history's database failed; the message says what to do."""


class BadDatabaseAddress(DatabaseError):
    """The address is none, or its driver is not installed."""


class DatabaseUnreachable(DatabaseError):
    """It cannot be opened, or does not answer; trying again may help."""


class NewerDatabase(DatabaseError):
    """A later release of Patchline has changed its tables."""


class Database:
    """The history's database. Any thread may use it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect, and bring the tables up to date.

        Raises:
            BadDatabaseAddress: it is none, or its driver is not installed.
            DatabaseUnreachable: it does not answer.
            NewerDatabase: a later release has changed its tables.
        """
        database = cls(_engine(url))
        try:
            with database.writing() as connection:
                _upgrade(connection)
        except DatabaseError:
            database.close()
            raise
        return database

    @property
    def partitioned(self) -> bool:
        """Whether `decisions` lies in partitions of a day each."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes; committed at the end, undone by an exception. Raises DatabaseUnreachable."""
        with _named(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that sees one state of the database, and waits for no writer. Raises DatabaseUnreachable."""
        with _named(), self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Disconnect."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def without_password(url: str) -> str:
    """The address as it may be shown."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "record.database"


def _engine(url: str) -> Engine:
    try:
        parts = make_url(url)
        if parts.get_backend_name() == "sqlite":
            return _sqlite(url, parts.database)
        options = PLANNED_ANEW if parts.get_driver_name() == "psycopg" else {}
        return create_engine(
            url, pool_pre_ping=True, pool_size=POOL_CONNECTIONS, max_overflow=POOL_MORE, connect_args=options
        )
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise BadDatabaseAddress(
            f"record.database cannot be used: {error}; write sqlite:///file.sqlite, or "
            "postgresql+psycopg://user:password@host/database with the postgresql extra"
        ) from None


def _sqlite(url: str, file: str | None) -> Engine:
    if not file or file == ":memory:":
        raise BadDatabaseAddress("record.database needs a file: write sqlite:///patchline-data/record.sqlite")
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: object, _: object) -> None:
    """Readers and one writer go on beside each other; a commit survives the end of the process."""
    connection.isolation_level = None  # type: ignore[attr-defined]  # transactions begin where SQLAlchemy says so
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={int(BUSY_SECONDS * 1000)}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its turn at once: one that reads first and writes later would be refused, not made to wait."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    steps = _migration_steps()
    found = MigrationContext.configure(connection).get_current_revision()
    if found == steps[0]:
        return
    if found is not None and found not in steps:
        raise NewerDatabase(f"a later release of Patchline changed the history's tables (step {found}): update here")
    config = _migrations()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@cache
def _migration_steps() -> tuple[str, ...]:
    """The steps that this release knows, the latest first."""
    return tuple(each.revision for each in ScriptDirectory.from_config(_migrations()).walk_revisions())


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


@contextmanager
def _named() -> Iterator[None]:
    """Errors of the driver, by our names."""
    try:
        yield
    except DBAPIError as error:
        raise DatabaseUnreachable(f"the history's database does not answer: {error.orig}") from error
    except SQLAlchemyError as error:
        raise DatabaseError(f"the history's database failed: {error}") from error
