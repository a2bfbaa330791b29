"""The recorder: one thread that writes what is read, and one that keeps pictures.

Offsets are committed after the database has what they stand for. What is read twice is written once: decisions by
their id, events by their offset.
"""

from __future__ import annotations

import gc
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import structlog

from ingest.bank_event import BankEvent
from ingest.bank_updates import bank_updates
from ingest.contract import BadMessage, Message
from ingest.decision import Decision
from ingest.drift_event import DriftEvent
from ingest.feedback import Feedback
from ingest.kafka.errors import Aborted, BrokerUnreachable
from ingest.kafka.group_lag import GroupLag, counting_lost
from ingest.kafka.record_fetcher import RecordFetcher
from ingest.kafka.records import Work
from ingest.kafka.transactions import State, TransactionLoop
from ingest.store import StoreError
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_kafka, declare_record
from monitoring.record.database import Database, DatabaseUnreachable
from monitoring.record.pictures import PictureKeeper, PictureRetention, now
from monitoring.record.rows import PassSample
from monitoring.record.schema import bank_events, drift_events, words
from monitoring.record.writing import RecordWriter, forget_before
from monitoring.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from threading import Event

    from prometheus_client import CollectorRegistry
    from sqlalchemy import Table

    from ingest.claims import Claims
    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Claim, Record
    from ingest.kafka.settings import KafkaSettings, TopicName
    from ingest.store import Store
    from monitoring.metrics import KafkaMetrics, RecordMetrics
    from monitoring.record.settings import RecordSettings

log = structlog.get_logger(__name__)

ROOM = 1000
"""Decisions of one transaction at most: 0.2 s of work."""
RETRY_SECONDS = 1.0
IDLE_SECONDS = 0.2
GATHER_SECONDS = 0.2
"""Between two rounds that find less than a whole transaction: one of many decisions costs hardly more than of one."""
GARBAGE_OBJECTS = 50_000
"""Made and not freed before the garbage collector looks: those of a whole transaction's decisions."""
TOPICS: tuple[TopicName, ...] = ("decisions", "banks", "bank-events", "drift-events", "feedback")

_Message = TypeVar("_Message", bound=Message)


class Recorder:
    """The thread that reads and writes."""

    def __init__(
        self,
        loop: Loop,
        writer: RecordWriter,
        *,
        topics: Mapping[str, TopicName],
        settings: RecordSettings,
        metrics: RecordMetrics,
        kafka: KafkaMetrics,
        heartbeat: Heartbeat,
    ) -> None:
        """`topics` gives the plain name of each topic by its full one."""
        self._loop = loop
        self._writer = writer
        self._topics = topics
        self._settings = settings
        self._metrics = metrics
        self._kafka = kafka
        self._heartbeat = heartbeat

    def run(self, *, until: Event) -> None:
        """Record until `until` is set.

        Raises:
            Fenced: another process took our place; exit, the supervisor restarts.
            Refused: Kafka will never accept what we do; a person must act.
        """
        while not until.is_set():
            begun = time.monotonic()
            if self.round(until) < ROOM:
                until.wait(max(0.0, GATHER_SECONDS - (time.monotonic() - begun)))

    def round(self, until: Event) -> int:
        """Read what is there, write it, and say so to Kafka; returns how many records that were."""
        self._heartbeat.beat()
        records: Sequence[Record] = ()
        try:
            records = self._loop.poll(self._settings.poll_seconds, room=ROOM)
            self._kafka.records_polled.inc(len(records))
            self._kafka.partitions_owned.set(len(self._loop.claims))
            if records and self._written(records, until):
                self._commit(records)
        except Aborted as error:  # all is read again, and written once
            self._kafka.transactions_aborted.inc()
            log.warning("read_again", cause=str(error))
        return len(records)

    def _written(self, records: Sequence[Record], until: Event) -> bool:
        """Write until the database has it; false where the process is to end, or its partitions went meanwhile."""
        claims = {record.claim for record in records}
        while not until.is_set():
            try:
                with self._metrics.stage_seconds.labels(stage="write").time():
                    self._write(records)
            except DatabaseUnreachable as error:
                self._metrics.failures.inc()
                log.warning("database_not_written", cause=str(error))
                until.wait(RETRY_SECONDS)
                self._heartbeat.beat()
                self._loop.poll(0.0, room=0)  # stay a member of the group
                if not claims <= set(self._loop.claims.values()):
                    return False
            else:
                return True
        return False

    def _write(self, records: Sequence[Record]) -> None:
        by_topic: dict[TopicName, list[Record]] = {}
        for record in records:
            by_topic.setdefault(self._topics[record.topic], []).append(record)
        found = [each for _, each in self._read(by_topic.get("decisions", []), Decision)]
        new = self._writer.decisions(sorted(found, key=lambda each: each.decided_at))
        self._metrics.recorded.inc(new)
        self._metrics.repeated.inc(len(found) - new)
        if found:
            self._metrics.written.set(max(each.decided_at for each in found).timestamp())
        for state in bank_updates(by_topic.get("banks", [])).states.values():
            if state is not None:
                self._writer.bank_state(state)
        tables: tuple[tuple[TopicName, Table, type[BankEvent | DriftEvent | Feedback]], ...] = (
            ("bank-events", bank_events, BankEvent),
            ("drift-events", drift_events, DriftEvent),
            ("feedback", words, Feedback),
        )
        for topic, table, kind in tables:
            if topic in by_topic:
                messages = [(record.offset, each) for record, each in self._read(by_topic[topic], kind)]
                self._writer.messages(table, messages)

    def _read(self, records: Sequence[Record], kind: type[_Message]) -> Iterator[tuple[Record, _Message]]:
        for record in records:
            try:
                yield record, kind.from_bytes(record.value or b"")
            except BadMessage as error:
                self._metrics.unreadable.inc()
                log.warning("record_unreadable", topic=record.topic, offset=record.offset, detail=str(error))

    def _commit(self, records: Sequence[Record]) -> None:
        done: dict[Claim, Work] = {}
        for record in records:
            if record.claim is not None:
                done[record.claim] = Work.of(record)
        with self._kafka.commit_seconds.time():
            self._loop.commit(list(done.values()))
        self._kafka.transactions_committed.inc()


class PictureThread:
    """Keeps and forgets pictures on a thread of its own, until it is stopped."""

    def __init__(
        self,
        keeper: PictureKeeper,
        forget: Callable[[], int],
        *,
        settings: RecordSettings,
        metrics: RecordMetrics,
        stop: Event,
    ) -> None:
        self._keeper = keeper
        self._forget = forget
        self._settings = settings
        self._metrics = metrics
        self._stop = stop
        self._forgot_at = float("-inf")
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has ended, once it was told to stop."""
        self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._round()
        except BaseException:
            self._stop.set()  # a recorder without pictures is none: the supervisor starts both again
            log.exception("pictures_ended")
            raise

    def _round(self) -> None:
        try:
            with self._metrics.stage_seconds.labels(stage="pictures").time():
                kept = self._keeper.keep()
            self._metrics.pictures.inc(kept)
            if time.monotonic() - self._forgot_at > self._settings.retention_seconds:
                self._forgot_at = time.monotonic()
                self._metrics.waiting.set(self._keeper.waiting())
                with self._metrics.stage_seconds.labels(stage="retention").time():
                    self._metrics.expired.inc(self._forget())
        except (BrokerUnreachable, StoreError, DatabaseUnreachable) as error:
            self._metrics.failures.inc()
            log.warning("pictures_wait", cause=str(error))
            self._stop.wait(RETRY_SECONDS)
            return
        if not kept:
            self._stop.wait(IDLE_SECONDS)


@dataclass
class RecordProgress:
    """How far the start has come, for `/readyz`."""

    loop: Loop | None = None

    def readiness(self) -> Readiness:
        """Whether decisions are recorded."""
        if self.loop is None:
            return Readiness(ready=False, sentence="Not ready: waiting for a broker.")
        if self.loop.state not in (State.OWNING, State.COMMITTING):
            return Readiness(ready=False, sentence="Not ready: joining the consumer group.")
        taken_over = f" {self.loop.taken_over}" if self.loop.taken_over else ""
        return Readiness(ready=True, sentence=f"Ready: {len(self.loop.claims)} partitions are recorded.{taken_over}")


def serve(
    settings: RecordSettings,
    *,
    kafka: KafkaSettings,
    store: Store,
    claims: Claims,
    stop: Event,
    registry: CollectorRegistry,
) -> None:
    """Run the recorder until `stop` is set.

    Raises:
        PortInUse: the metrics port is taken.
        DatabaseError: the database cannot be opened.
        TopicMissing: `patchline topics create` has not been run.
        BrokerUnreachable: `stop` came before a broker.
        Fenced, Refused: see `Recorder.run`.
    """
    metrics, kafka_metrics, progress = declare_record(registry), declare_kafka(registry), RecordProgress()
    heartbeat = Heartbeat(limit_seconds=settings.silence_seconds, clock=time.monotonic)
    with ExitStack() as stack:
        stack.enter_context(
            HealthServer(
                registry=registry,
                heartbeat=heartbeat,
                ready=progress.readiness,
                port=settings.metrics_port,
                host=settings.metrics_host,
            )
        )
        database = stack.enter_context(Database.open(settings.database))
        fetcher = stack.enter_context(RecordFetcher.open(kafka, stop=stop))
        loop = progress.loop = stack.enter_context(
            TransactionLoop.open(
                kafka,
                group_id=kafka.group(kafka.record_group),
                reads=[kafka.topic(name) for name in TOPICS],
                writes=[],
                stop=stop,
                lost=counting_lost(kafka_metrics, [kafka.topic("decisions")]),
            )
        )
        group, followed = kafka.group(kafka.record_group), [kafka.topic("decisions")]
        stack.enter_context(GroupLag(kafka, loop, kafka_metrics, group_id=group, topics=followed))
        kafka_metrics.loop_silent.set_function(lambda: heartbeat.silent_seconds)
        stack.enter_context(Watchdog(heartbeat))
        frames, longer_px = kafka.frame_topics, settings.thumbnail_px
        keeper = PictureKeeper(database, store, fetcher, claims=claims, topics=frames, longer_px=longer_px)
        stack.callback(keeper.close)
        retention = PictureRetention(database, store, settings, clock=now)

        def forget() -> int:
            expired = retention.expire()
            forget_before(database, now() - timedelta(days=settings.decision_days))
            return expired

        pictures = PictureThread(keeper, forget, settings=settings, metrics=metrics, stop=stop)
        pictures.start()
        stack.callback(pictures.join)
        stack.callback(stop.set)
        # What is loaded stays, and what a round makes has no cycles: looking for some took as long as reading does.
        gc.freeze()
        gc.set_threshold(GARBAGE_OBJECTS)
        log.info("recording", topics=[kafka.topic(name) for name in TOPICS])
        Recorder(
            loop,
            RecordWriter(database, PassSample(settings.pass_every_seconds)),
            topics={kafka.topic(name): name for name in TOPICS},
            settings=settings,
            metrics=metrics,
            kafka=kafka_metrics,
            heartbeat=heartbeat,
        ).run(until=stop)
