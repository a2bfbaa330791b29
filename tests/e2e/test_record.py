"""The recorder as a process on a real Kafka: killed again and again, no decision and no picture is missing or twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from ingest.bank_event import BankEvent, BankEventKind
from ingest.contract import SourceRecord
from ingest.decision import Verdict, decision_id
from ingest.kafka.records import Outgoing
from ingest.kafka.topics import create_topics
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from ingest.store_layout import PICTURES
from monitoring.record.database import Database
from monitoring.record.schema import bank_events, decisions, minutes
from tests.e2e.services import Services, wait_until
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import made, picture

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.decision import Decision
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = 3
FRAMES_BETWEEN = 400


def _decided(kafka: KafkaSettings, sender: KafkaSender, numbers: range) -> list[Decision]:
    """Frames and their decisions, every tenth a reject, in the topics."""
    found = []
    for number in numbers:
        headers = (("frame-id", f"run-{number}".encode()),)
        sent = sender.send(Outgoing(kafka.topic("frames"), VIEW.encode(), picture(number), headers)).wait(30)
        source = SourceRecord(topic=sent.partition.topic, partition=sent.partition.partition, offset=sent.offset)
        verdict = Verdict.FAIL if number % 10 == 0 else Verdict.PASS
        decision = made(number, verdict).model_copy(update={"source": source})
        sender.send(Outgoing(kafka.topic("decisions"), VIEW.encode(), decision.to_bytes()))
        found.append(decision)
    sender.flush(30)
    return found


def test_nothing_is_missing_or_twice_however_often_the_recorder_is_killed(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    """Kill -9 at any moment, while it writes: in the end each decision is there once, and every reject's picture."""
    kafka = kafka_broker.settings(partitions=3, session_timeout_seconds=2.0)
    create_topics(kafka)
    url = f"sqlite:///{tmp_path}/record.sqlite"
    record = {"database": url, "metrics_port": 0, "pass_every_seconds": 100_000}
    with Services(tmp_path, kafka, {"record": record}) as services, KafkaSender.open(kafka) as sender:
        sent: list[Decision] = []
        for kill in range(KILLS):
            recorder = services.start("record")
            sent += _decided(kafka, sender, range(kill * FRAMES_BETWEEN, (kill + 1) * FRAMES_BETWEEN))
            wait_until(lambda: recorder.process.poll() is None and _written(url) > 0, "the first decision")  # noqa: B023
            time.sleep(0.3 * kill)
            recorder.kill()
        event = BankEvent(view=VIEW, kind=BankEventKind.BUILT, epoch=1, who="trainer", why="first", at=AT)
        sender.send_and_wait(Outgoing(kafka.topic("bank-events"), VIEW.encode(), event.to_bytes()))
        recorder = services.start("record")
        rejects = sum(each.verdict is Verdict.FAIL for each in sent)
        wait_until(lambda: _written(url) >= len(sent) and _kept(url) >= rejects, "everything recorded")
        wait_until(lambda: _count(url, bank_events) == 1, "the event")
        assert recorder.stop() == 0, recorder.logged
    with Database.open(url) as database, database.reading() as connection:
        ids = connection.execute(select(decisions.c.id)).scalars().all()
        assert sorted(ids) == sorted(decision_id(VIEW, f"run-{n}") for n in range(KILLS * FRAMES_BETWEEN))
        counted = connection.execute(select(func.sum(minutes.c.passed), func.sum(minutes.c.failed))).one()
        assert counted == (len(sent) - rejects, rejects)
    kept = [path for path in FsspecStore.open(services.store).paths(PICTURES) if path.endswith(".frame")]
    assert {each.id for each in sent if each.verdict is Verdict.FAIL} <= {path[-70:-6] for path in kept}


def _written(url: str) -> int:
    return _count(url, decisions)


def _kept(url: str) -> int:
    with Database.open(url) as database, database.reading() as connection:
        found = select(func.count()).where(decisions.c.picture == "kept", decisions.c.verdict == "fail")
        return int(connection.execute(found).scalar_one())


def _count(url: str, table: object) -> int:
    with Database.open(url) as database, database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]
