"""Records and offsets of a transaction that has ended, but whose end was never written beside them.

Kafka 4.3 does this where a transaction times out while a partition has no leader, as after the restart of the only
broker: it takes the partition for a deleted one and skips its marker. They stay open, and the next commit of the same
producer id makes them visible. Seen in the fault "broker killed": two frames were answered twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.producer.transaction_manager import TxnOffsetCommitHandler
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from ingest.kafka.connecting import Deadline, client_options
from ingest.kafka.errors import Aborted
from ingest.kafka.records import Outgoing
from tests.brokers import KafkaBroker
from tests.ingest.kafka.streams import answer, answer_all, answered, once, open_loop, polled, send_numbered, topics_made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

pytestmark = [pytest.mark.kafka]

FRAMES = 6


@pytest.fixture(scope="module")
def lax_broker(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """One that does not ask whether a record belongs to an open transaction: so what the fault leaves can be made."""
    lax = {"transaction.partition.verification.enable": "false"}
    broker = KafkaBroker(kafka_home, tmp_path_factory.mktemp("lax"), overrides=lax).start()
    yield broker
    broker.kill()


@pytest.fixture
def settings(lax_broker: KafkaBroker) -> KafkaSettings:
    """A fresh set of topics."""
    return topics_made(lax_broker.settings(partitions=1))


def left_open(settings: KafkaSettings, decision: Outgoing, offsets: dict[TopicPartition, int]) -> None:
    """A process of our instance wrote these in a transaction whose markers went elsewhere, and is gone."""
    with open_loop(settings) as loop:
        assert loop._producer.ready(Deadline(20))
        producer, manager = loop._producer._producer, loop._producer._manager
        producer.begin_transaction()
        manager._partitions_in_transaction.add(TopicPartition(decision.topic, decision.partition))
        producer.send(decision.topic, value=decision.value, partition=decision.partition).get(timeout=20)
        _commit_offsets(settings, loop._producer, offsets)


def _commit_offsets(settings: KafkaSettings, producer: Untyped, offsets: dict[TopicPartition, int]) -> None:
    manager = producer._manager
    manager._pending_txn_offset_commits.update({each: OffsetAndMetadata(at, "", -1) for each, at in offsets.items()})
    group = ConsumerGroupMetadata(group_id=settings.group(settings.inference_group))
    handler = TxnOffsetCommitHandler(manager, group, manager._pending_txn_offset_commits, None)
    manager._enqueue_request(handler)
    producer._wait(handler.result, Deadline(20))


def committed_offset(settings: KafkaSettings) -> int | None:
    """Of partition 0 in the inference group."""
    consumer = KafkaConsumer(**client_options(settings), group_id=settings.group(settings.inference_group))
    offset: int | None = consumer.committed(TopicPartition(settings.topic("frames"), 0), timeout_ms=20_000)
    consumer.close(autocommit=False)
    return offset


@pytest.mark.parametrize("leaderless", [False, True])
def test_what_was_left_open_is_not_committed_with_what_comes_next(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, *, leaderless: bool
) -> None:
    """Neither the decision, which would be a second one, nor the offset, which would lose the frames before it.

    Also where the partition of the decision had no leader at the start, so that nothing could be closed there yet.
    """
    sources = send_numbered(settings, range(FRAMES), cameras=1)
    frames = TopicPartition(settings.topic("frames"), 0)
    left_open(settings, Outgoing(settings.topic("decisions"), None, b"0,0", partition=0), {frames: FRAMES})
    with open_loop(settings) as loop:
        with monkeypatch.context() as patched:
            if leaderless:
                patched.setattr(loop._producer, "_has_leader", lambda _: False)
            first = polled(loop, 1)
        loop.commit([answer(settings, record) for record in first])
    assert committed_offset(settings) == 1
    with open_loop(settings) as loop:
        answer_all(settings, loop, FRAMES - 1)
    assert answered(settings) == once(sources)


def test_a_leader_that_comes_while_records_are_sent_makes_nothing_old_good(
    settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our look at the metadata found none, the send found one: aborted, and closed by the producer that comes next."""
    sources = send_numbered(settings, range(FRAMES), cameras=1)
    left_open(settings, Outgoing(settings.topic("decisions"), None, b"0,0", partition=0), {})
    with open_loop(settings) as loop:
        with monkeypatch.context() as patched:
            patched.setattr(loop._producer, "_has_leader", lambda _: False)
            first = polled(loop, 1)
            with pytest.raises(Aborted, match=r"decisions-0 had no leader until now"):
                loop.commit([answer(settings, record) for record in first])
        assert committed_offset(settings) is None
        answer_all(settings, loop, FRAMES)
    assert answered(settings) == once(sources)
