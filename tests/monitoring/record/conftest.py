"""The history's database on both engines, and a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.store import FsspecStore
from monitoring.record.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.sqlite"
    address: str = request.getfixturevalue("postgresql").database()
    return address


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty history."""
    with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    """An empty store."""
    return FsspecStore.open(str(tmp_path / "store"))
