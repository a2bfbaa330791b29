"""kafka-python's transactional producer with deadlines: its own calls wait for ever while no broker answers.

A producer whose transaction ended in any way but a commit is thrown away and made anew, and a new one begins by closing
what was left open: Kafka 4.3 ends a transaction without a marker in partitions that have no leader just then, as after
a restart of the broker, and the next commit of the same producer id would make their records and offsets good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from kafka import KafkaProducer, TopicPartition
from kafka.errors import (
    ClusterAuthorizationFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    InvalidProducerEpochError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnsupportedVersionError,
)

from ingest.kafka.connecting import Deadline, client_options
from ingest.kafka.records import partition_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kafka.structs import OffsetAndMetadata

    from ingest.kafka.broker_clock import BrokerClock
    from ingest.kafka.records import Outgoing
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

log = structlog.get_logger(__name__)

# Waiting cures none of these.
HOPELESS = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnsupportedVersionError,
)
TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
NO_LEADER = -1
FENCING = (FencedInstanceIdError, InvalidProducerEpochError, ProducerFencedError)


class WrongClock(Exception):
    """What is being written was dated by a clock behind the broker's."""


def is_fenced(error: BaseException | None) -> bool:
    """Whether someone else holds our place."""
    return isinstance(error, FENCING)


class TransactionalProducer:
    """One transaction at a time. After one that was not committed, the producer is thrown away and made anew.

    Opening it again makes the broker finish what is open under the transactional id, and closes what it forgot, so
    afterwards all that was sent before is either committed or aborted, in every partition.
    """

    def __init__(
        self, settings: KafkaSettings, *, transactional_id: str, group_id: str, writes: Sequence[str] = ()
    ) -> None:
        """`group_id` and `writes`: whose offsets and which topics its transactions, and its predecessors', go to."""
        self._settings = settings
        self._transactional_id = transactional_id
        self._group_id = group_id
        self._writes = tuple(writes)
        self._producer: Untyped = None
        self._unclosed: frozenset[TopicPartition] = frozenset()
        """Partitions without a leader when the producer was made: nothing could be closed there yet."""

    def ready(self, deadline: Deadline) -> bool:
        """Have a producer with no open transaction; False where the broker does not answer in time."""
        if self._producer is not None:
            return True
        try:
            self._producer = _producer(self._settings, self._transactional_id, deadline)
            self._close_what_was_left_open(self._partitions(), deadline)
        except KafkaTimeoutError as error:
            self.close()
            log.warning("transactions_not_ready", transactional_id=self._transactional_id, reason=str(error))
            return False
        except KafkaError:
            self.close()
            raise
        return True

    def transact(
        self,
        outgoing: Sequence[Outgoing],
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        membership: Untyped,
        deadline: Deadline,
        clock: BrokerClock | None = None,
    ) -> None:
        """Begin, send, check every record, add the offsets, commit. Raises a KafkaError with the transaction open.

        Raises WrongClock, likewise, where the broker's clock shows that the records were made by a wrong one.
        """
        producer = self._producer
        if any(map(self._has_leader, self._unclosed)):
            self._close_what_was_left_open(self._unclosed, deadline)
        # kafka-python keeps the offsets of an aborted transaction and would commit them with the next one: partitions
        # that have moved on meanwhile would be set back, and their records answered twice.
        self._manager._pending_txn_offset_commits.clear()  # noqa: SLF001  there is no public way
        producer.begin_transaction()
        sent_at = 0.0 if clock is None else clock.steady()
        pending = [send(producer, each) for each in outgoing]
        if pending:
            producer.flush(deadline.left_seconds)
        written = [each.get(timeout=deadline.left_seconds) for each in pending]
        self._refuse_unclosed(TopicPartition(each.topic, each.partition) for each in written)
        appended_ms = [each.timestamp for each in written if each.timestamp > 0]  # a broker may tell none
        if clock is not None and not clock.heard(appended_ms, sent_at=sent_at, acknowledged_at=clock.steady()):
            raise WrongClock("these records were dated by a clock unlike the broker's; they are made again")
        self._wait(self._manager.send_offsets_to_transaction(dict(offsets), membership), deadline)
        self._wait(self._manager.begin_commit(), deadline)

    def abort(self, deadline: Deadline) -> None:
        """End the open transaction. The producer goes with it: whether every partition knows it, is unknown."""
        try:
            self._wait(self._manager.begin_abort(), deadline)
        except KafkaError as error:
            log.warning("abort_not_acknowledged", transactional_id=self._transactional_id, reason=str(error))
        finally:
            self.close()

    def cause(self, error: Exception) -> BaseException:
        """The error that broke the transaction: later calls only say that there was one."""
        last: BaseException | None = self._manager.last_error if self._producer is not None else None
        return last if last is not None else error

    def close(self) -> None:
        """Drop the producer without waiting for what it still holds: an open transaction is aborted by the broker."""
        if self._producer is not None:
            close_now(self._producer)
            self._producer = None

    def _partitions(self) -> frozenset[TopicPartition]:
        """All that a transaction may write to."""
        return frozenset(
            TopicPartition(topic, each) for topic in self._writes for each in self._producer.partitions_for(topic)
        )

    def _has_leader(self, partition: TopicPartition) -> bool:
        return self._producer._metadata.leader_for_partition(partition) not in (None, NO_LEADER)  # noqa: SLF001

    def _close_what_was_left_open(self, partitions: frozenset[TopicPartition], deadline: Deadline) -> None:
        """Abort an empty transaction over partitions that one before it may have written to.

        Its markers close what lies open under our producer id: records in the topics, pending offsets in the group.
        A partition without a leader would get none, unsaid; it is closed before the next transaction that finds one.
        """
        manager, reached = self._manager, frozenset(filter(self._has_leader, partitions))
        self._producer.begin_transaction()
        for each in reached:
            manager.maybe_add_partition_to_transaction(each)
        if reached:
            added = manager._add_partitions_to_transaction_handler()  # noqa: SLF001  a send would add them, with a record
            manager._enqueue_request(added)  # noqa: SLF001
            self._wait(added.result, deadline)
        self._wait(manager.send_offsets_to_transaction({}, self._group_id), deadline)
        self._wait(manager.begin_abort(), deadline)
        self._unclosed = partitions - reached

    def _refuse_unclosed(self, written: Iterable[TopicPartition]) -> None:
        """A leader may come between our look and the send: committing would make good what still lies open there."""
        late = self._unclosed.intersection(written)
        if late:
            names = ", ".join(sorted(f"{each.topic}-{each.partition}" for each in late))
            raise KafkaError(f"{names} had no leader until now: what was left open there has to be closed first")

    @property
    def _manager(self) -> Untyped:
        return self._producer._transaction_manager  # noqa: SLF001  the public calls take no deadline

    def _wait(self, result: Untyped, deadline: Deadline) -> None:
        self._producer._sender.wakeup()  # noqa: SLF001  as the public calls do
        if not result.wait(timeout_ms=max(1, deadline.left_ms)):
            raise KafkaTimeoutError("the transaction coordinator did not answer in time")


def send(producer: Untyped, outgoing: Outgoing) -> Untyped:
    """Hand one record to a KafkaProducer; returns its future."""
    # kafka-python refuses a record of neither key nor value, which other clients send and we must be able to answer.
    nothing = outgoing.key is None and outgoing.value is None
    partition = outgoing.partition
    if partition is not None:
        partition = partition_in(partition, len(producer.partitions_for(outgoing.topic)))
    return producer.send(
        outgoing.topic,
        key=outgoing.key,
        value=b"" if nothing else outgoing.value,
        headers=list(outgoing.headers),
        partition=partition,
    )


def close_now(producer: Untyped) -> None:
    """Close without waiting for records that nobody waits for any more."""
    producer._sender.force_close()  # noqa: SLF001  `close` first flushes, and raises where it cannot
    producer._sender.join(1.0)  # noqa: SLF001
    producer.close(timeout=0)


def _producer(settings: KafkaSettings, transactional_id: str, deadline: Deadline) -> Untyped:
    producer = KafkaProducer(
        **client_options(settings),
        **producer_options(settings),
        transactional_id=transactional_id,
        transaction_timeout_ms=int(settings.transaction_timeout_seconds * 1000),
        max_block_ms=max(1, min(deadline.left_ms, int(settings.request_timeout_seconds * 1000))),
        # The coordinator answers "still finishing the last one" to a quick successor: 100 ms, the default, would be
        # the latency of every second transaction.
        retry_backoff_ms=5,
    )
    try:
        producer.init_transactions()
    except KafkaError:
        close_now(producer)
        raise
    return producer


def producer_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every producer of ours is given."""
    return {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": None,  # images are compressed already
        "max_request_size": settings.max_message_bytes,
        "delivery_timeout_ms": int(settings.request_timeout_seconds * 2000),
        "batch_size": 1024 * 1024,
        "linger_ms": 0,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
