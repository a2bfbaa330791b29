"""A cluster for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.deploy.command_cluster import CommandCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.local_stack.embedded_broker import EmbeddedBroker


@pytest.fixture
def cluster(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Iterator[CommandCluster]:
    """A cluster of this test's own on the embedded broker."""
    yield from CommandCluster.opened(embedded_broker.bootstrap_servers, f"t{uuid4().hex[:8]}.", tmp_path)
