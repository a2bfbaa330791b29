"""The drift service on a real Apache Kafka: what it sees, over a kill, and where two of them share the work."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import pytest
from kafka import KafkaProducer
from prometheus_client import CollectorRegistry

from ingest.command import Command, CommandKind
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.topics import create_topics
from ingest.kafka.transactions import TransactionLoop
from ingest.kafka.writers import KafkaSender
from monitoring.watch.service import serve
from monitoring.watch.settings import WatchSettings
from tests.monitoring.decisions import VIEW
from tests.monitoring.drift.synthetic_streams import blurred, frames
from tests.monitoring.watch.banks_in_store import calibrated_bank, decisions, state_of, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ingest.bank_state import BankInForce
    from ingest.decision import Decision
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import FsspecStore
    from tests.brokers import KafkaBroker

pytestmark = pytest.mark.kafka

PATIENCE_SECONDS = 120.0


class Line:
    """Topics with decisions, a store with banks, and drift services on them."""

    def __init__(self, kafka: KafkaSettings, store: FsspecStore) -> None:
        self.kafka = kafka
        self.store = store
        create_topics(kafka, give_up_seconds=30)
        self.sender = KafkaSender.open(kafka)

    def bank(self, seed: int, *, view: str = VIEW) -> BankInForce:
        """A bank of the line, in force from now on."""
        active = stored(self.store, calibrated_bank(seed, view=view))
        value = state_of(active, view=view).to_bytes()
        self.sender.send_and_wait(Outgoing(self.kafka.topic("banks"), view.encode(), value))
        return active

    def decide(self, made: Sequence[Decision]) -> None:
        """Publish decisions."""
        for one in made:
            self.sender.send(Outgoing(self.kafka.topic("decisions"), one.view.encode(), one.to_bytes()))
        self.sender.flush(30)

    @contextmanager
    def watched(self, *, instance: str = "0", **more: object) -> Iterator[CollectorRegistry]:
        """A drift service in this process; its registry."""
        registry, stop, failed = CollectorRegistry(), Event(), []

        def run() -> None:
            try:
                serve(
                    WatchSettings.model_validate({"metrics_port": 0, "commit_seconds": 0.2, **more}),
                    kafka=self.kafka.model_copy(update={"instance_id": instance}),
                    store=self.store,
                    stop=stop,
                    registry=registry,
                )
            except Exception as error:  # noqa: BLE001 -- raised again on the test's own thread
                failed.append(error)

        thread = Thread(target=run)
        thread.start()
        try:
            yield registry
        finally:
            stop.set()
            thread.join(30)
        assert failed == []


@pytest.fixture
def line(kafka_broker: KafkaBroker, store: FsspecStore) -> Iterator[Line]:
    """A fresh line."""
    made = Line(kafka_broker.settings(session_timeout_seconds=6), store)
    yield made
    made.sender.close()


def until(happened: Callable[[], bool], what: str) -> None:
    """Look again and again. Raises TimeoutError that says what did not happen."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        if time.monotonic() > ends:
            raise TimeoutError(what)
        time.sleep(0.1)


def verdicts(registry: CollectorRegistry, view: str = VIEW) -> list[str]:
    """The verdicts that stand at 1."""
    samples = [sample for family in registry.collect() for sample in family.samples]
    mine = [each for each in samples if each.name == "patchline_drift_verdict" and each.labels["view"] == view]
    return [each.labels["verdict"] for each in mine if each.value == 1]


def followed(registry: CollectorRegistry, view: str = VIEW) -> float:
    """Decisions counted."""
    return registry.get_sample_value("patchline_drift_decisions_total", {"view": view}) or 0.0


def joined(registry: CollectorRegistry, partitions: int) -> bool:
    """Whether the group gave this service so many."""
    return registry.get_sample_value("patchline_kafka_partitions_owned") == partitions


def test_a_lens_out_of_focus_is_seen_over_a_restart(line: Line) -> None:
    """The first process counts the good frames, the second knows them, counts the blurred ones and names the cause."""
    bank, rng = line.bank(0), np.random.default_rng(1)
    good = decisions(frames(rng, 120), bank)
    with line.watched() as registry:
        until(lambda: joined(registry, 6), "the first process joined")
        line.decide(good)
        until(lambda: followed(registry) == 120, "the good frames were followed")
        assert verdicts(registry) == []
    line.decide(decisions(map(blurred, frames(rng, 40)), bank, first=120))
    with line.watched() as registry:
        until(lambda: verdicts(registry) == ["camera_out_of_focus"], "the blur was named")
        until(lambda: followed(registry) == 40, "the blurred frames were counted, and no good one again")


def test_a_bank_that_comes_into_force_is_held_against_its_own_calibration(line: Line) -> None:
    """A view that was learning gets its first bank while the service runs."""
    with line.watched() as registry:
        until(lambda: joined(registry, 6), "the process joined")
        bank = line.bank(0)
        line.decide(decisions(frames(np.random.default_rng(1), 80), bank))
        until(lambda: followed(registry) == 80, "the frames were followed")
        assert verdicts(registry) == []


def test_decisions_of_an_aborted_transaction_are_not_followed(line: Line) -> None:
    """They were never committed, so they were never made: the frames are decided again, once."""
    bank, rng = line.bank(0), np.random.default_rng(1)
    made = decisions(frames(rng, 30), bank)
    with line.watched() as registry:
        until(lambda: joined(registry, 6), "the process joined")
        producer = KafkaProducer(bootstrap_servers=line.kafka.bootstrap_servers, transactional_id="other")
        producer.init_transactions()
        producer.begin_transaction()
        for one in made:
            producer.send(line.kafka.topic("decisions"), key=one.view.encode(), value=one.to_bytes())
        producer.flush()
        producer.abort_transaction()
        producer.close()
        line.decide(made[:20])
        until(lambda: followed(registry) >= 20, "the committed ones were followed")
    assert followed(registry) == 20


def test_two_processes_share_the_views_and_one_takes_over_all(line: Line) -> None:
    """A view is shown by one of them at a time, and the one that is left knows what the other knew."""
    views = [f"line-{number}/top" for number in range(8)]
    banks = {view: line.bank(0, view=view) for view in views}

    def decide(seed: int, first: int) -> None:
        for view in views:
            stream = frames(np.random.default_rng(seed), 40)
            line.decide(decisions(stream if seed < 5 else map(blurred, stream), banks[view], view=view, first=first))

    with line.watched(instance="a") as one:
        until(lambda: joined(one, 6), "the first joined")
        with line.watched(instance="b") as two:
            until(lambda: joined(one, 3) and joined(two, 3), "the two shared the partitions")
            decide(1, 0)
            until(lambda: sum(followed(r, v) for r in (one, two) for v in views) == 320, "all was followed")
            shown = [[v for v in views if followed(r, v)] for r in (one, two)]
            assert sorted(shown[0] + shown[1]) == views
            assert shown[0]
            assert shown[1]
        until(lambda: joined(one, 6), "the first took over")
        decide(7, 40)
        until(lambda: all(verdicts(one, v) == ["camera_out_of_focus"] for v in views), "every blur was named")


def test_a_lasting_change_asks_the_trainer_once(line: Line) -> None:
    """The command is in the topic, and a second process that reads the same decisions again writes none."""
    bank, rng = line.bank(0), np.random.default_rng(1)
    wanted = {"rebuild_on": ["camera_out_of_focus"], "rebuild_after_frames": 25}
    with line.watched(**wanted) as registry:
        until(lambda: joined(registry, 6), "the process joined")
        line.decide(decisions([*frames(rng, 100), *map(blurred, frames(rng, 60))], bank))
        until(lambda: followed(registry) == 160, "all was followed")
    with line.watched(**wanted) as registry:
        until(lambda: verdicts(registry) == ["camera_out_of_focus"], "the next process knows")
    with WholeTopicReader.open(line.kafka, topics=[line.kafka.topic("commands")]) as reader:
        requests = [Command.from_bytes(each.value or b"") for each in reader.read_to_end(30)]
    assert [(one.kind, one.view, one.why) for one in requests] == [
        (CommandKind.REBUILD, VIEW, "camera out of focus: noticed 25 frames ago")
    ]


def test_its_offsets_reach_the_end(line: Line) -> None:
    """What is followed is committed: the group's lag says how far the watching is."""
    bank = line.bank(0)
    with line.watched() as registry:
        until(lambda: joined(registry, 6), "the process joined")
        line.decide(decisions(frames(np.random.default_rng(1), 50), bank))
        until(lambda: followed(registry) == 50, "the frames were followed")
    with WholeTopicReader.open(line.kafka, topics=[line.kafka.topic("decisions")]) as reader:
        ends = reader.end_offsets()
    with TransactionLoop.open(
        line.kafka, group_id=line.kafka.group(line.kafka.watch_group), reads=[line.kafka.topic("decisions")], writes=[]
    ) as loop:
        until(lambda: loop.poll(0.2) is not None and len(loop.claims) == 6, "the group gave its partitions")
        assert {each: at for each, at in loop._committed.items() if at} == {
            each: end for each, end in ends.items() if end
        }
