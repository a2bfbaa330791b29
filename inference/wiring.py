"""The one place that wires the inspection: `serve`, and how far its start has come."""

from __future__ import annotations

import gc
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
from inference.inspector import Destinations, Inspector
from inference.known_views import KnownViews
from inference.network import EnginesCompiling, OpenedNetwork, opened_beside
from inference.reporting import InspectionReporting
from inference.scoring import FrameScoring
from inference.service import Service
from inference.shadow import ShadowScoring
from inference.worker import Worker
from ingest.bank_signature import BankVerifier
from ingest.decoding import FrameDecoder
from ingest.kafka.broker_clock import BrokerClock
from ingest.kafka.errors import BrokerUnreachable, TopicMissing
from ingest.kafka.group_lag import GroupLag, counting_lost
from ingest.kafka.readers import tail_of
from ingest.kafka.record_fetcher import RecordFetcher
from ingest.kafka.records import Partition
from ingest.kafka.topics import add_partitions, largest_messages
from ingest.kafka.transactions import State, TransactionLoop
from ingest.kafka.writers import KafkaSender
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_inference, declare_kafka
from monitoring.watchdog import Watchdog
from softpatch.scoring.bounded_search import cpu_search

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from threading import Event

    import numpy as np

    from inference.assignment import AppendedAt, ReadTail
    from inference.settings import InferenceSettings, ViewInspection
    from ingest.claims import Claims
    from ingest.decoding import ImageSettings
    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store
    from monitoring.metrics import InferenceMetrics, KafkaMetrics
    from softpatch.network.embed import Embedder
    from softpatch.network.engines import Compiling
    from softpatch.scoring.search import Search

log = structlog.get_logger(__name__)

WAIT_SECONDS = 0.2


def serve(
    *,
    kafka: KafkaSettings,
    settings: InferenceSettings,
    inspection_of: Callable[[str], ViewInspection],
    open_network: Callable[[Compiling], OpenedNetwork],
    store: Store,
    images: ImageSettings,
    claims: Claims,
    stop: Event,
    make_search: Callable[[np.ndarray], Search] = cpu_search,
    registry: CollectorRegistry | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run the inference service until `stop` is set.

    `open_network` is called once the health pages answer: TensorRT may have to compile an engine first. `make_search`
    makes the search over a bank's vectors.

    Raises:
        BadKey: a key of `bank_keys` cannot be used.
        BrokerUnreachable: `stop` was set before a broker answered.
        TopicMissing: `patchline topics create` has not been run.
        Fenced, Refused: see `Service.run`.
        PortInUse: the metrics port is taken.
        Exception: what `open_network` raises.
    """
    registry = registry or CollectorRegistry()
    metrics = declare_inference(registry)
    heartbeat = Heartbeat(limit_seconds=settings.silence_seconds, clock=clock)
    broker_clock = BrokerClock(wall=lambda: now().timestamp())
    handoff = HandoffQueue(room_frames=settings.queue_frames, room_bytes=settings.queue_bytes)
    kafka_metrics = declare_kafka(registry)
    verifier = BankVerifier.open(settings.bank_keys) if settings.bank_keys else None
    notices = BankNotices()
    progress = ServiceProgress(EnginesCompiling(clock))
    destinations = Destinations(kafka.topic("decisions"), kafka.topic("frames.dead-letter"))
    with ExitStack() as stack:
        _serve_health(registry, heartbeat, progress, settings, stack)
        kafka_metrics.loop_silent.set_function(lambda: heartbeat.silent_seconds)
        network = progress.network = opened_beside(open_network, progress.engines.compiling, stop)
        if network is None:
            return
        embedder = network.embedder
        reporting = InspectionReporting(
            metrics, kafka_metrics, provider=embedder.provider, precision=embedder.precision
        )
        banks = ActiveBanks(BankLoader(store, embedder, make_search, verifier), notices)
        follower = BankFollower(banks, kafka, retry_seconds=settings.bank_retry_seconds, clock=clock)
        progress.follow(follower.ready, banks)
        stack.enter_context(follower)
        _wait_for_banks(follower, heartbeat, stop)
        if stop.is_set():
            return
        sizes = AnswerSizes(lambda: largest_messages(kafka, ("decisions", "frames.dead-letter")))
        history = History(remembered_frame_ids=settings.remembered_frame_ids)
        scoring = _scoring(embedder, settings, images, claims, stack, clock=clock)
        shadow = _shadow(kafka, scoring, banks, stack, metrics=metrics, clock=clock)
        inspector = Inspector(
            scoring=scoring,
            banks=banks,
            history=history,
            inspection_of=inspection_of,
            destinations=destinations,
            sizes=sizes,
            views=KnownViews(most=settings.max_views, forget_after_seconds=settings.forget_after_seconds, clock=clock),
            clock=clock,
            now=broker_clock.now,
            first_topic=kafka.topic("frames"),
            wrong_clock=lambda: broker_clock.off_by_more_than(settings.clock_skew_seconds),
            shadow=shadow,
        )
        assignment = _assignment(kafka, handoff, history, destinations, settings=settings, metrics=kafka_metrics)
        loop = progress.loop = stack.enter_context(
            _opened_loop(kafka, destinations, assignment, stop, clock=broker_clock, metrics=kafka_metrics)
        )
        group = kafka.group(kafka.inference_group)
        stack.enter_context(GroupLag(kafka, loop, kafka_metrics, group_id=group, topics=kafka.frame_topics))
        worker = stack.enter_context(Worker(handoff, inspector, batch_frames=settings.batch_frames, shadow=shadow))
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
        gc.freeze()  # what is loaded stays: walking it takes the collector 50 to 90 ms, in which no frame is decided
        log.info("inspecting", provider=embedder.provider, precision=embedder.precision, frames=kafka.frame_topics)
        service.run(until=stop)


def _serve_health(
    registry: CollectorRegistry,
    heartbeat: Heartbeat,
    progress: ServiceProgress,
    settings: InferenceSettings,
    stack: ExitStack,
) -> None:
    """Metrics and health pages, and an end of this process where the loop hangs."""
    host, port = settings.metrics_host, settings.metrics_port
    server = HealthServer(registry=registry, heartbeat=heartbeat, ready=progress.readiness, port=port, host=host)
    stack.enter_context(server)
    stack.enter_context(Watchdog(heartbeat))


def _scoring(
    embedder: Embedder,
    settings: InferenceSettings,
    images: ImageSettings,
    claims: Claims,
    stack: ExitStack,
    *,
    clock: Callable[[], float],
) -> FrameScoring:
    decoder = stack.enter_context(FrameDecoder(images, workers=settings.decode_threads, clock=clock))
    pool = stack.enter_context(ThreadPoolExecutor(settings.decode_threads, "decode"))
    return FrameScoring(embedder, pool=pool, decoder=decoder, claims=claims, clock=clock)


def _shadow(
    kafka: KafkaSettings,
    scoring: FrameScoring,
    banks: ActiveBanks,
    stack: ExitStack,
    *,
    metrics: InferenceMetrics,
    clock: Callable[[], float],
) -> ShadowScoring | None:
    """Scoring beside the banks in force; None where its topic is missing: no frame waits for that."""
    topic = kafka.topic("decisions.shadow")
    try:
        sender = KafkaSender.open(kafka, writes=(topic,), give_up_seconds=kafka.request_timeout_seconds)
    except (TopicMissing, BrokerUnreachable) as error:
        log.warning("no_shadow", cause=str(error))
        return None
    stack.callback(sender.abandon)
    return ShadowScoring(scoring, banks, sender, topic=topic, metrics=metrics, clock=clock)


def _assignment(
    kafka: KafkaSettings,
    handoff: HandoffQueue,
    history: History,
    destinations: Destinations,
    *,
    settings: InferenceSettings,
    metrics: KafkaMetrics,
) -> Assignment:
    return Assignment(
        handoff,
        history,
        _decisions_of(kafka, destinations, settings),
        _appended_at(kafka),
        grow_topics=lambda: metrics.topics_too_narrow.set(_narrow_topics(kafka)),
    )


@dataclass
class ServiceProgress:
    """How far the start has come, for `/readyz`: the network first, then the banks, then the group."""

    engines: EnginesCompiling
    network: OpenedNetwork | None = None
    banks: ActiveBanks | None = None
    banks_ready: Event | None = None
    loop: Loop | None = None

    def follow(self, banks_ready: Event, banks: ActiveBanks) -> None:
        """From now on banks are loaded."""
        self.banks_ready, self.banks = banks_ready, banks

    def readiness(self) -> Readiness:
        """Whether frames are decided now, by the banks that the topic says."""
        if self.network is None or self.banks is None or self.banks_ready is None:
            return self._not_ready("the network is being opened.")
        if not self.banks_ready.is_set() and self.banks.store_fault is not None:
            return self._not_ready(f"the store does not answer: {self.banks.store_fault}")
        if not self.banks_ready.is_set():
            return self._not_ready("the banks in force are being loaded and proven.")
        if self.loop is None or self.loop.state not in (State.OWNING, State.COMMITTING):
            return self._not_ready("joining the consumer group.")
        unfetched = len(self.banks.unfetched)
        sentence = _joined(
            f"Ready: {len(self.loop.claims)} partitions.",
            f"{unfetched} banks are not in the store yet." if unfetched else "",
            self.loop.taken_over or "",
            self.engines.sentence,
            self.network.sentence,
        )
        return Readiness(ready=True, sentence=sentence)

    def _not_ready(self, why: str) -> Readiness:
        return Readiness(ready=False, sentence=_joined(f"Not ready: {why}", self.engines.sentence))


def _joined(*sentences: str) -> str:
    return " ".join(each for each in sentences if each)


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
        reads=kafka.frame_topics,
        writes=[destinations.decisions, destinations.dead_letters],
        ownership=ownership,
        stop=stop,
        clock=clock,
        lost=counting_lost(metrics, kafka.frame_topics),
    )


def _decisions_of(kafka: KafkaSettings, destinations: Destinations, settings: InferenceSettings) -> ReadTail:
    """How to read the last decisions: a transaction of one decision takes two offsets, its own and its marker's.

    Partitions of all topics of frames share one of decisions: each has its part of the tail.
    """
    last_offsets = 2 * settings.remembered_frame_ids * len(kafka.frame_topics)

    def read_tail(partitions: Collection[int], seconds: float) -> Iterator[Record]:
        tail = [Partition(destinations.decisions, each) for each in partitions]
        return tail_of(kafka, tail, last_offsets=last_offsets, timeout_seconds=seconds)

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


def _appended_at(kafka: KafkaSettings) -> AppendedAt:
    """How to ask when a frame was appended."""

    def appended_at(partition: Partition, offset: int, seconds: float) -> int | None:
        fetcher = RecordFetcher.open(kafka, give_up_seconds=seconds)
        try:
            (record,) = fetcher.fetch(partition, [offset], timeout_seconds=seconds)
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
