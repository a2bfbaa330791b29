"""The consume-transform-produce loop: what is read is answered exactly once, whatever dies in between.

    JOINING --assignment--> OWNING --commit()--> COMMITTING --done--> OWNING
       ^                      |                      |
       |   revoked, lost      |                      +--abortable error--> JOINING   (raises Aborted)
       +----------------------+                      +--fenced-----------> FENCED    (raises Fenced)

A transaction is open only inside `commit()`, on the thread that also polls: no rebalance can find one open. Between
assignment and revocation a partition has a `Claim`, and works commit under the claim their record was read with. An
abort voids all claims, and the next poll takes the partitions over anew, sought to their committed offsets.

Who may commit is decided by the broker: every transaction carries the group membership under which the claims were
taken (KIP-447), not the one the client holds by now, so a member that was left behind is refused. The transactional
id is stable per instance, so that a restarted process at once ends the transaction its predecessor left open; it is
not what fences.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Self

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CommitFailedError, FencedInstanceIdError, KafkaError, KafkaTimeoutError, RetriableError
from kafka.structs import MemberState, OffsetAndMetadata

from ingest.kafka.connecting import Deadline, client_options, connected, require_topics
from ingest.kafka.errors import Aborted, Fenced, KafkaFailure, Refused, TooLarge
from ingest.kafka.instance_holder import Holder, client_id
from ingest.kafka.ownership import CommittedOffsets, Ownership, Revocations
from ingest.kafka.producing import HOPELESS, TOO_LARGE, TransactionalProducer, WrongClock, is_fenced
from ingest.kafka.records import Claim, Committed, Partition, Record, Work
from ingest.kafka.wire import record_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from threading import Event

    from ingest.kafka.broker_clock import BrokerClock
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.untyped import Untyped

log = structlog.get_logger(__name__)

JOIN_SECONDS = 3.0
"""How long one poll may wait for a rebalance to end, whatever timeout it was given.
kafka-python throws a join away that ends between two polls and joins again, which makes every other member join again:
with short polls alone, groups were seen to rebalance for ever.
"""


class State(Enum):
    """Where the loop stands; see the drawing on top of this module."""

    JOINING = "joining"
    OWNING = "owning"
    COMMITTING = "committing"
    FENCED = "fenced"
    CLOSED = "closed"


class TransactionLoop:
    """Polls one group's partitions and commits works exactly once. One thread only: the one that polls also commits."""

    def __init__(
        self,
        consumer: Untyped,
        producer: TransactionalProducer,
        settings: KafkaSettings,
        *,
        revocations: Revocations,
        ownership: Ownership,
        clock: BrokerClock | None = None,
        lost: Callable[[Partition, int], None] = lambda _, __: None,
        taken_over: str | None = None,
    ) -> None:
        self._was_silent = False
        self._taken_over = taken_over
        self._lost = lost
        self._next: dict[Partition, int] = {}
        self._clock = clock
        self._consumer = consumer
        self._producer = producer
        self._settings = settings
        self._revocations = revocations
        self._ownership = ownership
        self._state = State.JOINING
        self._membership: Untyped = None
        self._refused: tuple[int, str] | None = None
        """The generation and member id that the broker does not know any more."""
        self._claims: dict[Partition, Claim] = {}
        self._committed: dict[Partition, int | None] = {}
        self._tenure = 0

    @classmethod
    def open(
        cls,
        settings: KafkaSettings,
        *,
        group_id: str,
        reads: Sequence[str],
        writes: Sequence[str],
        ownership: Ownership | None = None,
        stop: Event | None = None,
        clock: BrokerClock | None = None,
        lost: Callable[[Partition, int], None] = lambda _, __: None,
    ) -> Self:
        """Connect, end what a predecessor left open, and be ready to poll. Waits for a broker until `stop` is set.

        Args:
            settings: where and how patiently; its `instance_id` names this member for good.
            group_id: full id of the consumer group (`settings.group(...)`).
            reads: full names of the topics to consume.
            writes: full names of the topics that commits will write to.
            ownership: called with the partitions that come and go.
            stop: ends the wait for a broker.
            clock: what works are dated by; each commit sets it, and aborts where it shows that they were dated wrongly.
            lost: told how many records of a partition are gone unread, and 0 for each partition that comes.

        Raises:
            BrokerUnreachable: `stop` was set before a broker answered.
            TopicMissing: one of `reads` or `writes` does not exist.
        """
        revocations = Revocations()
        consumer = connected(lambda: _consumer(settings, group_id), settings, stop=stop)
        require_topics(consumer.partitions_for_topic, [*reads, *writes], otherwise=consumer.close)
        taken_over = _taken_over(settings, group_id)
        producer = TransactionalProducer(
            settings, transactional_id=f"{group_id}-{settings.instance_id}", group_id=group_id, writes=writes
        )
        consumer.subscribe(topics=list(reads), listener=revocations)
        return cls(
            consumer,
            producer,
            settings,
            revocations=revocations,
            ownership=ownership or CommittedOffsets(),
            clock=clock,
            lost=lost,
            taken_over=taken_over,
        )

    @property
    def taken_over(self) -> str | None:
        """Which other process had our instance id when we started, in a sentence; None where none had."""
        return self._taken_over

    @property
    def state(self) -> State:
        """Where the loop stands."""
        return self._state

    @property
    def claims(self) -> Mapping[Partition, Claim]:
        """The partitions owned now."""
        return dict(self._claims)

    def poll(self, timeout_seconds: float, *, room: int = 500) -> list[Record]:
        """The next records, at most `room` of them; with no room nothing is fetched but membership goes on.

        Waits up to `timeout_seconds` for a first record, and up to `JOIN_SECONDS` more while a rebalance runs. Call it
        at least every `rebalance_timeout_seconds`; heartbeats are sent in the background.

        Raises:
            Aborted: reading was interrupted; drop all work in flight and poll on.
            Fenced: another process uses our instance id.
            Refused: the broker denies access. Whatever the ownership raises, with all claims void.
        """
        self._require_usable()
        deadline = Deadline(self._settings.rebalance_timeout_seconds)
        try:
            if not self._producer.ready(deadline):
                return []
            fetched = self._fetch(timeout_seconds, room)
            self._require_heartbeats()
            self._drop(self._revocations.drain())
            moved = self._settle(deadline)
            self._note_lost({each: record for each, record in reversed(fetched) if each in self._claims})
            self._next.update({each: record.offset + 1 for each, record in fetched if each in self._claims})
        except KafkaError as error:
            raise self._unusable(error) from error
        except Exception:  # the ownership's own: what was fetched is not given out, so all is read again
            self._void()
            raise
        readable = self._claims.keys() - moved
        return [record_from(each, self._claims[partition]) for partition, each in fetched if partition in readable]

    def commit(self, works: Sequence[Work]) -> Committed:
        """Write all records of `works` and their offsets in one transaction; works with a void claim are left out.

        Raises:
            Aborted: nothing was committed; drop all work in flight and poll on.
            Fenced: another process took over; exit.
            Refused: aborted, and trying again would fail again (rights, sizes); TooLarge where it is the size.
        """
        self._require_usable()
        done = tuple(work for work in works if self._claims.get(work.claim.partition) == work.claim)
        void = tuple(work for work in works if self._claims.get(work.claim.partition) != work.claim)
        if done:
            self._transact(done)
        return Committed(done, void)

    def read_again(self, partition: Partition) -> None:
        """Read an owned partition from the earliest record that Kafka has; works under its old claim are void."""
        if partition in self._claims:
            self._seek(TopicPartition(*partition), None)
            self._tenure += 1
            self._claims[partition] = Claim(partition, self._tenure)

    def close(self) -> None:
        """Stop; a static member keeps its partitions until the session times out, or it comes back."""
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        self._producer.close()
        self._consumer.close(autocommit=False, timeout_ms=int(self._settings.request_timeout_seconds * 1000))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fetch(self, timeout_seconds: float, room: int) -> list[tuple[Partition, Any]]:
        if room > 0:
            self._consumer.resume(*self._consumer.paused())
        else:
            self._consumer.pause(*self._consumer.assignment())
        batches = self._consumer.poll(timeout_ms=int(timeout_seconds * 1000), max_records=max(room, 1))
        if not batches and self._consumer.group_metadata().state == MemberState.REBALANCING:
            # A join set off by changed metadata is forgotten where its poll timed out; requested again, it is awaited.
            coordinator = self._consumer._coordinator  # noqa: SLF001  a poll would go on waiting for records
            coordinator.request_rejoin()
            coordinator.ensure_active_group(timeout_ms=int(JOIN_SECONDS * 1000))
        return [(Partition(*each), record) for each, records in batches.items() for record in records]

    def _require_heartbeats(self) -> None:
        """Raises FencedInstanceIdError where another process has our instance id.

        kafka-python's heartbeats end then without a word, and a member that has nothing to commit would go on for ever
        as if it owned its partitions. While a group is stable they end for no other reason.
        """
        coordinator = self._consumer._coordinator  # noqa: SLF001  nothing else tells
        stable = coordinator.stable() and not coordinator.rejoining
        silent = stable and not coordinator._heartbeat_enabled  # noqa: SLF001  the same
        if silent and self._was_silent:  # one look may fall between the end of a join and the first heartbeat
            raise FencedInstanceIdError(self._settings.instance_id)
        self._was_silent = silent

    def _settle(self, deadline: Deadline) -> frozenset[Partition]:
        """Where the group has a new generation, take over what it gives us; returns the partitions sought anew."""
        membership = self._consumer.group_metadata()
        if membership.state != MemberState.STABLE or not _is_member(membership):
            return frozenset()
        if _identity(membership) == self._refused:  # until a join has ended, the client believes in it
            return frozenset()
        if self._membership is not None and _identity(membership) == _identity(self._membership):
            return frozenset()
        owned = frozenset(Partition(*each) for each in self._consumer.assignment())
        offsets = self._offsets(owned, deadline)
        # A kept partition whose offset moved was worked on by someone else meanwhile: our reading of it is stale.
        self._drop(each for each in self._claims if each not in owned or offsets[each] != self._committed[each])
        fresh = owned - self._claims.keys()
        self._take_over({each: offsets[each] for each in fresh}, deadline)
        self._membership, self._state = membership, State.OWNING
        log.info("partitions_settled", owned=_names(owned), fresh=_names(fresh), generation=membership.generation_id)
        return fresh

    def _note_lost(self, firsts: Mapping[Partition, Untyped]) -> None:
        """Tell what retention deleted between the record read last and the first of a fetch.

        Transaction markers and aborted records leave gaps, too: only the log's beginning says that something was lost.
        Offset 0 is where reading starts that was never told to start anywhere: what went before it is no loss.
        """
        for each, first in firsts.items():
            expected = self._next.get(each, 0)
            if expected == 0 or first.offset <= expected + 1:
                continue
            place, timeout_ms = TopicPartition(*each), int(self._settings.request_timeout_seconds * 1000)
            records = (
                min(self._consumer.beginning_offsets([place], timeout_ms=timeout_ms)[place], first.offset) - expected
            )
            if records > 0:
                log.error("unread_records_deleted", partition=f"{each.topic}-{each.partition}", records=records)
                self._lost(each, records)

    def _offsets(self, partitions: Iterable[Partition], deadline: Deadline) -> dict[Partition, int | None]:
        return {
            each: self._consumer.committed(TopicPartition(*each), timeout_ms=max(1, deadline.left_ms))
            for each in partitions
        }

    def _take_over(self, partitions: Mapping[Partition, int | None], deadline: Deadline) -> None:
        starts = self._ownership.assigned(partitions, deadline) if partitions else {}
        for each, offset in partitions.items():
            self._seek(TopicPartition(*each), starts.get(each, offset))
            self._tenure += 1
            self._claims[each] = Claim(each, self._tenure)
            self._committed[each] = offset
            self._next[each] = starts.get(each, offset or 0)
            self._lost(each, 0)

    def _seek(self, partition: TopicPartition, offset: int | None) -> None:
        if offset is None:
            self._consumer.seek_to_beginning(partition)
        else:
            self._consumer.seek(partition, offset)

    def _drop(self, partitions: Iterable[Partition]) -> None:
        gone = frozenset(each for each in partitions if each in self._claims)
        for each in gone:
            del self._claims[each], self._committed[each]
        if gone:
            log.info("partitions_dropped", partitions=_names(gone))
            self._ownership.revoked(gone)

    def _transact(self, works: Sequence[Work]) -> None:
        deadline = Deadline(self._settings.request_timeout_seconds)
        offsets = next_offsets(works)
        self._state = State.COMMITTING
        try:
            self._producer.transact(
                [outgoing for work in works for outgoing in work.outgoing],
                {TopicPartition(*each): OffsetAndMetadata(at, "", -1) for each, at in offsets.items()},
                self._membership,
                deadline,
                self._clock,
            )
        except (KafkaError, WrongClock) as error:
            raise self._failed(error) from error
        self._committed.update(offsets)
        self._state = State.OWNING

    def _failed(self, error: Exception) -> KafkaFailure:
        """Abort, void all claims, and say what the caller has to do."""
        cause = self._producer.cause(error)
        if is_fenced(cause):
            return self._fenced(cause)
        self._producer.abort(Deadline(self._settings.request_timeout_seconds))
        if isinstance(cause, CommitFailedError):
            self._join_anew()
        self._void()
        log.warning("transaction_aborted", cause=type(cause).__name__, detail=str(cause))
        if isinstance(cause, TOO_LARGE):
            return TooLarge(f"Kafka refuses this transaction for good, a record is too large: {cause}")
        if isinstance(cause, HOPELESS):
            return Refused(f"Kafka refuses this transaction for good: {cause}")
        return Aborted(f"transaction aborted: {type(cause).__name__}: {cause}")

    def _join_anew(self) -> None:
        """The group went on without us: nothing is taken over until the broker has given us a new membership."""
        self._refused = _identity(self._membership)
        if _identity(self._consumer.group_metadata()) == self._refused:
            self._consumer._coordinator.request_rejoin()  # noqa: SLF001  its own heartbeat finds out seconds later

    def _fenced(self, cause: BaseException) -> Fenced:
        self._state = State.FENCED
        return Fenced(
            f"another process took over instance id {self._settings.instance_id!r} or our transaction timed out "
            f"({type(cause).__name__}); exit now and let the supervisor restart; give each process its own instance_id"
        )

    def _unusable(self, error: KafkaError) -> KafkaFailure:
        if is_fenced(error):
            return self._fenced(error)
        self._void()
        if isinstance(error, (RetriableError, KafkaTimeoutError)):
            return Aborted(f"reading was interrupted: {error}")
        return Refused(f"Kafka refuses to let us read: {error}")

    def _void(self) -> None:
        self._state, self._membership = State.JOINING, None
        self._drop(list(self._claims))

    def _require_usable(self) -> None:
        if self._state is State.FENCED:
            raise Fenced("this loop was fenced; exit the process")
        if self._state is State.CLOSED:
            raise KafkaFailure("this loop is closed")


def _taken_over(settings: KafkaSettings, group_id: str) -> str | None:
    """A sentence on the other process that has our instance id, said before we throw it out; None where none has."""
    holder = Holder.of(settings, group_id)
    if holder is None or not holder.is_other:
        return None
    sentence = f"Instance id {settings.instance_id!r} was taken over from {holder.words}."
    what = "where it still runs, both throw each other out: give each process its own kafka.instance_id"
    log.warning("instance_id_taken_over", instance_id=settings.instance_id, holder=holder.words, detail=what)
    return sentence


def next_offsets(works: Iterable[Work]) -> dict[Partition, int]:
    """Per partition the offset that remains to be done after all of `works`."""
    offsets: dict[Partition, int] = {}
    for work in works:
        offsets[work.claim.partition] = max(work.next_offset, offsets.get(work.claim.partition, 0))
    return offsets


def _identity(membership: Untyped) -> tuple[int, str]:
    return membership.generation_id, membership.member_id


def _is_member(membership: Untyped) -> bool:
    """A membership without generation or member id would switch the broker's fencing off."""
    return membership.generation_id >= 0 and bool(membership.member_id)


def _names(partitions: Iterable[Partition]) -> list[str]:
    return sorted(f"{each.topic}-{each.partition}" for each in partitions)


def _consumer(settings: KafkaSettings, group_id: str) -> Untyped:
    return KafkaConsumer(
        **client_options(settings),
        **fetch_options(settings),
        group_id=group_id,
        group_instance_id=settings.instance_id,
        client_id=client_id(),
        partition_assignment_strategy=[CooperativeStickyAssignor],
        session_timeout_ms=int(settings.session_timeout_seconds * 1000),
        # A rebalance starts for us at the next heartbeat.
        heartbeat_interval_ms=int(settings.session_timeout_seconds * 100),
        max_poll_interval_ms=int(settings.rebalance_timeout_seconds * 1000),
    )


def fetch_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every consumer of ours is given."""
    return {
        "isolation_level": "read_committed",
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "allow_auto_create_topics": False,
        "fetch_max_bytes": settings.fetch_bytes,
        "max_partition_fetch_bytes": settings.fetch_partition_bytes,
        "metrics_enabled": False,
    }
