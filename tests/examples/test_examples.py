"""The examples for readers of decisions: each sees what is committed, once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest.decision import Reason, Verdict
from ingest.kafka.records import Outgoing
from ingest.kafka.topics import create_topics
from ingest.kafka.writers import KafkaSender
from tests.brokers import KafkaBroker
from tests.e2e.services import PATIENCE_SECONDS
from tests.monitoring.decisions import VIEW
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def servers(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own, as the examples know no prefix: a reject, a repeated pass, a frame that is learnt from."""
    broker = KafkaBroker(kafka_home, tmp_path_factory.mktemp("examples")).start()
    kafka = broker.settings(topic_prefix="", partitions=1)
    create_topics(kafka)
    fail = made(1, Verdict.FAIL, serial="SN-1")
    batch = [fail, made(2), made(2), made(3, Verdict.UNDECIDED, reason=Reason.LEARNING)]
    with KafkaSender.open(kafka) as sender:
        for each in batch:
            sender.send_and_wait(Outgoing("decisions", VIEW.encode(), each.to_bytes()))
    yield broker.bootstrap_servers
    broker.stop()


def printed(example: str, servers: str) -> list[str]:
    """What an example prints of three decisions."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / example, servers, "3"],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.kafka
@pytest.mark.slow
def test_kafka_python_says_what_the_line_does(servers: str) -> None:
    """Each part once, with its serial number where it has one, and the reason where there is one."""
    assert printed("read_decisions_kafka_python.py", servers) == [
        f"{VIEW} SN-1 fail  take the part out",
        f"{VIEW} - pass  let the part go",
        f"{VIEW} - undecided learning hold the part for a person",
    ]


@pytest.mark.kafka
@pytest.mark.slow
def test_confluent_reads_the_map(servers: str) -> None:
    """The map's bytes give the worst place; an absent map gives none."""
    pytest.importorskip("confluent_kafka")
    assert printed("read_decisions_confluent.py", servers) == [
        f"{VIEW} run-1 fail worst at row 1 of 4, column 2 of 6",
        f"{VIEW} run-2 pass worst at row 1 of 4, column 2 of 6",
        f"{VIEW} run-3 undecided ",
    ]
