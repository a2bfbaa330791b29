"""The inference service: the loop that owns Kafka, the worker that scores, and the one place that wires them.

    loop     poll -> accept -> collect -> commit, never waiting for a batch longer than a moment
    worker   take what waits -> inspect -> answer
    banks    follow the `banks` topic (inference.follower)

Answers are committed in the order of their partition, all that are ready in one transaction. An abort makes every claim
void: what waits is dropped here, what is being scored is left out of the next commit, and Kafka gives it all again.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from inference.answer_sizes import AnswerSizes
from inference.assignment import Assignment
from inference.bank_notices import BankNotices
from inference.banks import ActiveBanks, BankLoader
from inference.follower import BankFollower
from inference.handoff_queue import HandoffQueue
from inference.history import History
from inference.inspector import Destinations, Inspector, Queued
from inference.known_views import KnownViews
from inference.reporting import InspectionReporting
from inference.scoring import FrameScoring
from inference.worker import Worker
from ingest.decoding import FrameDecoder
from ingest.kafka.broker_clock import BrokerClock
from ingest.kafka.errors import Aborted, BrokerUnreachable, TooLarge
from ingest.kafka.group_lag import GroupLag, counting_lost
from ingest.kafka.readers import tail_of
from ingest.kafka.record_fetcher import RecordFetcher
from ingest.kafka.records import Partition
from ingest.kafka.topics import add_partitions, largest_messages
from ingest.kafka.transactions import State, TransactionLoop
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_inference, declare_kafka
from monitoring.watchdog import Watchdog
from softpatch.scoring.search import FlatSearch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from threading import Event

    import numpy as np

    from inference.assignment import AppendedAt, ReadTail
    from inference.inspector import AnswerBatch
    from inference.settings import InferenceSettings, ViewInspection
    from ingest.decoding import ImageSettings
    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Claim, Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store
    from monitoring.metrics import KafkaMetrics
    from softpatch.network.embed import Embedder
    from softpatch.scoring.search import Search

log = structlog.get_logger(__name__)

WAIT_SECONDS = 0.2

BUSY_SECONDS = 0.005
"""How long the loop waits for the worker before it looks for new frames: they wait no longer than that."""


class Service:
    """The loop's thread: everything that touches Kafka happens here, in `run`."""

    def __init__(
        self,
        loop: Loop,
        handoff: HandoffQueue,
        *,
        checks: Sequence[Callable[[], None]],
        sizes: AnswerSizes,
        notices: BankNotices,
        settings: InferenceSettings,
        reporting: InspectionReporting,
        heartbeat: Heartbeat,
        clock: Callable[[], float],
        broker_clock: BrokerClock,
    ) -> None:
        self._loop = loop
        self._handoff = handoff
        self._checks = checks
        self._sizes = sizes
        self._notices = notices
        self._settings = settings
        self._reporting = reporting
        self._heartbeat = heartbeat
        self._clock = clock
        self._broker_clock = broker_clock
        self._claims: Mapping[Partition, Claim] = {}

    def run(self, *, until: Event) -> None:
        """Inspect frames until `until` is set, then finish what is under way.

        Raises:
            Fenced: another process took our place; exit, the supervisor restarts.
            Refused, NoRoomForAnswers: Kafka will never accept what we do; a person must act.
        """
        while not until.is_set():
            self._round(room=self._handoff.room)
        self._drain()

    def _drain(self) -> None:
        """Take nothing new, commit what is under way; what is not done in time is read again by the next process."""
        ends = self._clock() + self._settings.drain_seconds
        while self._handoff.outstanding and self._clock() < ends:
            self._round(room=0)
        log.info("drained", left_frames=self._handoff.outstanding)

    def _round(self, *, room: int) -> None:
        for check in self._checks:
            check()
        busy = self._handoff.outstanding > 0
        self._accept(self._polled(0.0 if busy else self._settings.poll_seconds, room))
        self._settle()
        batches = self._handoff.collect(BUSY_SECONDS if self._handoff.outstanding else 0.0)
        if batches:
            self._commit(batches)
        if batches or not busy:  # a worker that hangs must not look alive
            self._heartbeat.beat()

    def _polled(self, timeout_seconds: float, room: int) -> Sequence[Record]:
        try:
            return self._loop.poll(timeout_seconds, room=room)
        except Aborted as error:
            self._reporting.poll_failed()
            log.warning("poll_failed", cause=str(error))
            return []

    def _accept(self, records: Sequence[Record]) -> None:
        at = self._clock()
        self._handoff.accept([Queued(record, at) for record in records])
        if records:
            self._reporting.polled(records)

    def _settle(self) -> None:
        """Show how things stand, and end the series of views that went to others."""
        claims = self._loop.claims
        if claims != self._claims and self._loop.state is State.OWNING:
            self._reporting.moved(claims.keys(), self._claims.keys() - claims.keys())
            self._claims = claims
        self._reporting.banks_changed(self._notices.drain())
        paused = 0 if self._handoff.room else len(claims)
        self._reporting.queue(waiting=self._handoff.waiting, paused=paused, owned=len(claims))

    def _commit(self, batches: Sequence[AnswerBatch]) -> None:
        answers = [answer for batch in batches for answer in batch.answers]
        for batch in batches:
            self._reporting.worked(batch)
        started = self._clock()
        try:
            committed = self._loop.commit([answer.work for answer in answers])
        except (Aborted, TooLarge) as error:
            self._reporting.aborted()
            log.warning("commit_aborted", cause=str(error), frames=len(answers))
            if isinstance(error, TooLarge):
                self._sizes.refused()
            return
        if committed.done:
            self._reporting.committed(answers, committed.done, self._clock() - started, self._broker_clock.now())
            self._reporting.clock(self._broker_clock.skew_seconds)


def serve(
    *,
    kafka: KafkaSettings,
    settings: InferenceSettings,
    inspection_of: Callable[[str], ViewInspection],
    embedder: Embedder,
    store: Store,
    images: ImageSettings,
    stop: Event,
    make_search: Callable[[np.ndarray], Search] = FlatSearch,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run the inference service until `stop` is set. `make_search` makes the search over a bank's vectors.

    Raises:
        BrokerUnreachable: `stop` was set before a broker answered.
        TopicMissing: `patchline topics create` has not been run.
        Fenced, Refused: see `Service.run`.
        PortInUse: the metrics port is taken.
    """
    registry = registry or CollectorRegistry()
    metrics = declare_inference(registry)
    heartbeat = Heartbeat(limit_seconds=settings.silence_seconds, clock=clock)
    broker_clock = BrokerClock(wall=lambda: now().timestamp())
    handoff = HandoffQueue(room_frames=settings.queue_frames, room_bytes=settings.queue_bytes)
    kafka_metrics = declare_kafka(registry)
    reporting = InspectionReporting(metrics, kafka_metrics, provider=embedder.provider, precision=embedder.precision)
    loader = BankLoader(store, embedder, make_search)
    notices = BankNotices()
    banks = ActiveBanks(loader, notices)
    follower = BankFollower(banks, kafka, retry_seconds=settings.bank_retry_seconds, clock=clock)
    progress = ServiceProgress(follower.ready, banks)
    destinations = Destinations(kafka.topic("decisions"), kafka.topic("frames.dead-letter"))
    with ExitStack() as stack:
        host, port = settings.metrics_host, settings.metrics_port
        stack.enter_context(
            HealthServer(registry=registry, heartbeat=heartbeat, ready=progress.readiness, port=port, host=host)
        )
        kafka_metrics.loop_silent.set_function(lambda: heartbeat.silent_seconds)
        stack.enter_context(Watchdog(heartbeat))
        stack.enter_context(follower)
        _wait_for_banks(follower, heartbeat, stop)
        if stop.is_set():
            return
        decoder = stack.enter_context(FrameDecoder(images, workers=settings.decode_threads, clock=clock))
        pool = stack.enter_context(ThreadPoolExecutor(settings.decode_threads, "decode"))
        sizes = AnswerSizes(lambda: largest_messages(kafka, ("decisions", "frames.dead-letter")))
        history = History(remembered_frame_ids=settings.remembered_frame_ids)
        inspector = Inspector(
            scoring=FrameScoring(embedder, pool=pool, decoder=decoder, clock=clock),
            banks=banks,
            history=history,
            inspection_of=inspection_of,
            destinations=destinations,
            sizes=sizes,
            views=KnownViews(most=settings.max_views, forget_after_seconds=settings.forget_after_seconds, clock=clock),
            clock=clock,
            now=broker_clock.now,
            wrong_clock=lambda: broker_clock.off_by_more_than(settings.clock_skew_seconds),
        )
        assignment = Assignment(
            handoff,
            history,
            _decisions_of(kafka, destinations, settings),
            _appended_at(kafka, kafka.topic("frames")),
            grow_topics=lambda: kafka_metrics.topics_too_narrow.set(_narrow_topics(kafka)),
        )
        loop = progress.loop = stack.enter_context(
            _opened_loop(kafka, destinations, assignment, stop, clock=broker_clock, metrics=kafka_metrics)
        )
        group = kafka.group(kafka.inference_group)
        stack.enter_context(GroupLag(kafka, loop, kafka_metrics, group_id=group, topic=kafka.topic("frames")))
        worker = stack.enter_context(Worker(handoff, inspector, batch_frames=settings.batch_frames))
        service = Service(
            loop,
            handoff,
            checks=(worker.check, follower.check),
            sizes=sizes,
            notices=notices,
            settings=settings,
            reporting=reporting,
            heartbeat=heartbeat,
            clock=clock,
            broker_clock=broker_clock,
        )
        log.info("inspecting", provider=embedder.provider, precision=embedder.precision, frames=kafka.topic("frames"))
        service.run(until=stop)


@dataclass
class ServiceProgress:
    """How far the start has come, for `/readyz`: the banks first, then the group."""

    banks_ready: Event
    banks: ActiveBanks
    loop: Loop | None = None

    def readiness(self) -> Readiness:
        """Whether frames are decided now, by the banks that the topic says."""
        if not self.banks_ready.is_set() and self.banks.store_fault is not None:
            return Readiness(ready=False, sentence=f"Not ready: the store does not answer: {self.banks.store_fault}")
        if not self.banks_ready.is_set():
            return Readiness(ready=False, sentence="Not ready: the banks in force are being loaded and proven.")
        if self.loop is None or self.loop.state not in (State.OWNING, State.COMMITTING):
            return Readiness(ready=False, sentence="Not ready: joining the consumer group.")
        waiting = f" {len(self.banks.unfetched)} banks are not in the store yet." if self.banks.unfetched else ""
        return Readiness(ready=True, sentence=f"Ready: {len(self.loop.claims)} partitions.{waiting}")


def _opened_loop(
    kafka: KafkaSettings,
    destinations: Destinations,
    ownership: Assignment,
    stop: Event,
    *,
    clock: BrokerClock,
    metrics: KafkaMetrics,
) -> TransactionLoop:
    return TransactionLoop.open(
        kafka,
        group_id=kafka.group(kafka.inference_group),
        reads=[kafka.topic("frames")],
        writes=[destinations.decisions, destinations.dead_letters],
        ownership=ownership,
        stop=stop,
        clock=clock,
        lost=counting_lost(metrics, kafka.topic("frames")),
    )


def _decisions_of(kafka: KafkaSettings, destinations: Destinations, settings: InferenceSettings) -> ReadTail:
    """How to read the last decisions: a transaction of one decision takes two offsets, its own and its marker's."""

    def read_tail(partitions: Collection[int], seconds: float) -> Iterator[Record]:
        tail = [Partition(destinations.decisions, each) for each in partitions]
        return tail_of(kafka, tail, last_offsets=2 * settings.remembered_frame_ids, timeout_seconds=seconds)

    return read_tail


def _narrow_topics(kafka: KafkaSettings) -> int:
    """Give the topics of answers the partitions of `frames`; how many could not be given theirs."""
    try:
        missing = add_partitions(kafka, give_up_seconds=kafka.request_timeout_seconds)
    except BrokerUnreachable as error:
        log.warning("partitions_not_checked", cause=str(error))
        return 0
    for each in missing:
        log.error("partitions_missing", detail=str(each))
    return len(missing)


def _appended_at(kafka: KafkaSettings, topic: str) -> AppendedAt:
    """How to ask when a frame was appended."""

    def appended_at(partition: int, offset: int, seconds: float) -> int | None:
        fetcher = RecordFetcher.open(kafka, give_up_seconds=seconds)
        try:
            (record,) = fetcher.fetch(Partition(topic, partition), [offset], timeout_seconds=seconds)
        finally:
            fetcher.close()
        return None if record is None else record.timestamp_ms

    return appended_at


def _wait_for_banks(follower: BankFollower, heartbeat: Heartbeat, stop: Event) -> None:
    """No frame is decided before every bank in force was loaded or refused: it would be called `learning`."""
    while not (follower.ready.wait(WAIT_SECONDS) or stop.is_set()):
        follower.check()
        heartbeat.beat()
    follower.check()
