"""A store on disk and a clock that a test moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ingest.store import FsspecStore

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class HandClock:
    """Seconds that go on when told to."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> FsspecStore:
    """An empty store on disk."""
    return FsspecStore.open(str(tmp_path / "store"))


@pytest.fixture
def clock() -> HandClock:
    """A clock at 0."""
    return HandClock()
