"""Opening: the tables are those of the schema, a second opening changes nothing, and what cannot be opened says why."""

from __future__ import annotations

import zlib
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text, update

from monitoring.record.database import (
    BadDatabaseAddress,
    Database,
    DatabaseUnreachable,
    NewerDatabase,
    without_password,
)
from monitoring.record.rows import PassSample, decision_of
from monitoring.record.schema import decisions, metadata, secrets
from monitoring.record.writing import RecordWriter
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from pathlib import Path


def test_migrations_make_the_tables_of_the_schema(database: Database) -> None:
    """Alembic itself compares: a column added to one and not the other is named."""
    with database.writing() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_a_second_opening_keeps_what_is_there(database_url: str) -> None:
    """A restarted recorder goes on."""
    with Database.open(database_url) as first, first.writing() as connection:
        connection.execute(insert(secrets).values(name="a", value="b"))
    with Database.open(database_url) as second, second.reading() as connection:
        assert connection.execute(select(secrets.c.value)).scalar_one() == "b"


def test_what_an_older_release_recorded_stays(database_url: str) -> None:
    """Its rows name no topic of frames, and hold the whole message, compressed."""
    with Database.open(database_url) as database:
        RecordWriter(database, PassSample(0)).decisions([made(0)])
        with database.writing() as connection:
            connection.execute(update(decisions).values(rest=zlib.compress(made(0).to_bytes())))
            connection.execute(text("ALTER TABLE decisions RENAME COLUMN rest TO whole"))
            connection.execute(text("ALTER TABLE decisions DROP COLUMN frames_topic"))
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with Database.open(database_url) as database:
        RecordWriter(database, PassSample(0)).decisions([made(1)])
        with database.reading() as connection:
            found = connection.execute(select(decisions).order_by(decisions.c.decided_at)).all()
    assert [row.frames_topic for row in found] == [None, "frames"]
    assert [decision_of(row) for row in found] == [made(0), made(1)]


def test_a_later_release_s_tables_are_left_alone(database_url: str) -> None:
    """An older release cannot know what they mean."""
    with Database.open(database_url) as database, database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NewerDatabase, match="step 9999"):
        Database.open(database_url)


def test_two_writers_wait_for_each_other(database: Database) -> None:
    """A writer that reads first is not refused where another one writes meanwhile."""

    def write(name: str) -> None:
        for number in range(20):
            with database.writing() as connection:
                connection.execute(select(secrets.c.name)).all()
                connection.execute(insert(secrets).values(name=f"{name}{number}", value=""))

    writers = [Thread(target=write, args=(name,)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.reading() as connection:
        assert len(connection.execute(select(secrets.c.name)).all()) == 40


def test_what_is_undone_is_not_there(database: Database) -> None:
    """An exception takes the whole transaction back."""

    def failing() -> None:
        with database.writing() as connection:
            connection.execute(insert(secrets).values(name="a", value="b"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    with database.reading() as connection:
        assert connection.execute(select(secrets)).all() == []


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "mysql+nothing://x/y"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """With a sentence that shows how to write one."""
    with pytest.raises(BadDatabaseAddress, match=r"sqlite:///"):
        Database.open(url)


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """A folder where the file should be."""
    (tmp_path / "record.sqlite").mkdir()
    with pytest.raises(DatabaseUnreachable, match="unable to open database file"):
        Database.open(f"sqlite:///{tmp_path}/record.sqlite")


def test_a_password_is_not_shown() -> None:
    """In logs and on pages."""
    assert without_password("postgresql+psycopg://ana:secret@db/x") == "postgresql+psycopg://ana:***@db/x"


def test_a_question_is_planned_for_its_own_times(database: Database) -> None:
    """A plan that PostgreSQL kept for all times read whole days for each batch: a recorder fell minutes behind."""
    if not database.partitioned:
        pytest.skip("SQLite plans a statement once it is prepared, by its indexes alone")
    with database.reading() as connection:
        for number in range(20):
            connection.execute(select(decisions.c.id).where(decisions.c.id == str(number))).all()
        assert connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one() == 0
