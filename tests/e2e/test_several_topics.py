"""Frames in two topics of a real Apache Kafka, one of them with more partitions: one line learns and decides both."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from kafka.admin import KafkaAdminClient

from ingest.bank_state import BankState
from ingest.cameras.simulator import Simulator
from ingest.contract import SourceRecord
from ingest.kafka.connecting import client_options
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Partition
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from tests.e2e.services import Answers, Services, wait_until
from trainer.window_store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

HERE, THERE, WIDE = "line-1/here", "line-2/there", "line-2/wide"
FIRST = 24
ONE_BANK = {
    "first_build_frames": FIRST,
    "rebuild_every_frames": 10_000,
    "deadline_seconds": 600,  # a busy machine must not turn verdicts into `undecided`
    "provisional_interval_ratio": 1000,
    "build": {
        "geometry": {"mode": "squash", "height_px": 128, "width_px": 128},
        "coreset_cap": 600,
        "detection_plants": 0,
    },
}


def two_topics(broker: KafkaBroker) -> KafkaSettings:
    """`frames` is to have two partitions; the other topic was there before, with three."""
    prefix = broker.settings().topic_prefix
    cell = f"{prefix}cell-4.images"
    kafka = broker.settings(topic_prefix=prefix, partitions=2, more_frame_topics=(cell,), session_timeout_seconds=2.0)
    with KafkaAdminClient(**client_options(kafka)) as admin:
        admin.create_topics({cell: {"num_partitions": 3, "replication_factor": 1}})
        admin.wait_for_topics([cell])
    return kafka


class Senders:
    """Cameras that know no header: their frames have no ids but those that follow from their places."""

    def __init__(self, kafka: KafkaSettings, sender: KafkaSender) -> None:
        self._sender = sender
        self._pictures = iter(Simulator("ring", seed=11, clock=lambda: datetime.now(UTC), defect_ratio=0, size_px=256))
        here, there = kafka.frame_topics
        self.places = {HERE: Partition(here, 1), THERE: Partition(there, 1), WIDE: Partition(there, 2)}
        self.sent: list[SourceRecord] = []

    def send(self, frames: int, *views: str) -> None:
        """So many frames of each view, in turn."""
        for picture in islice(self._pictures, frames):
            for view in views:
                self.send_value(view, picture.encoded)
        self._sender.flush(30)

    def send_value(self, view: str, value: bytes) -> SourceRecord:
        """One record of a view."""
        topic, partition = self.places[view]
        sent = self._sender.send(Outgoing(topic, view.encode(), value, partition=partition)).wait(30)
        source = SourceRecord(topic=topic, partition=partition, offset=sent.offset)
        self.sent.append(source)
        return source


@pytest.fixture
def kafka(kafka_broker: KafkaBroker) -> KafkaSettings:
    """Settings of a line that reads two topics."""
    return two_topics(kafka_broker)


@pytest.fixture
def services(kafka: KafkaSettings, tmp_path: Path) -> Iterator[Services]:
    """Trainer and inspection of that line."""
    with Services(tmp_path, kafka, {"views": {"*": ONE_BANK}}) as opened:
        opened.run("topics", "create")
        yield opened


def banks_in_force(kafka: KafkaSettings) -> set[str]:
    """The views that have one."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic("banks")]) as reader:
        states = [BankState.from_bytes(each.value or b"") for each in reader.read_to_end(60)]
    return {each.view for each in states if each.active is not None}


def test_frames_of_two_topics_are_learnt_and_decided_once_each_and_found_again(
    services: Services, tmp_path: Path
) -> None:
    """Both processes are killed in between; the same partition and offset in the other topic is another frame."""
    kafka = services.kafka
    train, inspect = services.start("train"), services.start("inspect")
    for service in (train, inspect):
        services.until_ready(service)
    with KafkaSender.open(kafka) as sender, Answers(kafka) as answers:
        cameras = Senders(kafka, sender)
        cameras.send(FIRST, HERE, THERE)
        cameras.send(3, WIDE)
        broken = cameras.send_value(WIDE, b"no picture")
        wait_until(lambda: answers.read() > 0, "a first answer")
        inspect.kill()
        wait_until(lambda: banks_in_force(kafka) == {HERE, THERE}, "a bank for each view that sent enough")
        train.kill()
        cameras.send(4, HERE, THERE)
        train, inspect = services.start("train"), services.start("inspect")
        wait_until(lambda: answers.read() >= len(cameras.sent), "an answer to every frame")
        windows, ends = (
            WindowStore(FsspecStore.open(services.store)),
            {each.topic_partition: 0 for each in cameras.sent},
        )
        ends |= {each.topic_partition: each.offset + 1 for each in cameras.sent}
        wait_until(lambda: {each: windows.position(each) for each in ends} == ends, "the trainer reading every frame")

        assert answers.by_source() == dict.fromkeys(cameras.sent, 1)
        assert len({each.id for each in answers.decisions}) == len(answers.decisions)
        assert {each.view: each.source.topic_partition for each in answers.decisions} == cameras.places
        assert [each.source for each in answers.dead_letters] == [broken]
        first = {each.view: each.frame_id for each in answers.decisions if each.source.offset == 0}
        there = cameras.places[THERE].topic
        assert first == {HERE: "1-0", THERE: f"{there}-1-0", WIDE: f"{there}-2-0"}
        learnt = {view: windows.load(view) for view in cameras.places}
        assert {view: index and index.home_partition for view, index in learnt.items()} == cameras.places
        assert {view: index and index.seen for view, index in learnt.items()} == {HERE: 28, THERE: 28, WIDE: 3}

        frame = f"{there}:1:25"
        assert frame in services.run("decisions", THERE).stdout
        services.run("explain", frame, "--out", "why.png", "--json", "why.json")
        assert (tmp_path / "why.png").stat().st_size > 0
        replayed = services.run("replay", THERE, "--from", f"{there}:1:20", "--to", f"{there}:1:27")
        assert f"8 frames of {THERE} decided again by the banks of then: 0 differ" in replayed.stdout
        said = services.run("feedback", THERE, frame, "good", "--why", "looked at it")
        assert f"Frame {frame} ({there}-1-25): " in said.stdout
        services.run("dead-letters", "replay", "--view", WIDE)
        wait_until(lambda: answers.read() > len(cameras.sent), "an answer to the replayed frame")
        again = answers.dead_letters[-1]
        assert (again.source.topic_partition, again.source.offset) == (broken.topic_partition, broken.offset + 1)
    services.run("topics", "show", "--json", "topics.json")
    shown = json.loads((tmp_path / "topics.json").read_text())
    partitions = {each["name"].removeprefix(kafka.topic_prefix): each["partitions"] for each in shown["topics"]}
    assert {name: partitions[name] for name in ("frames", "cell-4.images", "decisions")} == {
        "frames": 2,
        "cell-4.images": 3,
        "decisions": 3,
    }
