"""A trainer process, put together: the one place that makes its parts and connects them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from ingest.bank_signature import BankSigner
from ingest.bank_updates import bank_states
from ingest.command import Command
from ingest.decoding import FrameDecoder
from ingest.feedback import Feedback
from ingest.kafka.errors import TopicMissing
from ingest.kafka.group_lag import GroupLag, counting_lost
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.transactions import State, TransactionLoop
from ingest.store import FsspecStore
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_kafka, declare_trainer
from monitoring.watchdog import Watchdog
from trainer.annotation_store import AnnotationStore
from trainer.bank_store import BankStore
from trainer.build_queue import BuildEnvironment, BuildQueue
from trainer.build_workdir import build_workdir
from trainer.collector import Collector
from trainer.controller import ViewController
from trainer.effects import WindowEffects
from trainer.gate_records import GateRecords
from trainer.kafka_frames import KafkaFrames
from trainer.lost_banks import LostBanks
from trainer.message_queue import MessageQueue
from trainer.owned_views import OwnedViews
from trainer.publisher import Publisher, Topics
from trainer.service import Trainer
from trainer.set_aside import SetAside
from trainer.shadow_watch import ShadowWatch
from trainer.silent_views import SilentViews
from trainer.view_files import ViewFiles
from trainer.window_store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from threading import Event

    from prometheus_client import CollectorRegistry

    from ingest.bank_state import BankState
    from ingest.claims import Claims
    from ingest.decoding import ImageSettings
    from ingest.kafka.records import Partition
    from ingest.kafka.settings import KafkaSettings
    from monitoring.metrics import KafkaMetrics, TrainerMetrics
    from softpatch.network.graph import Graph
    from trainer.build_order import NetworkRun
    from trainer.settings import TrainerSettings, ViewTraining

log = structlog.get_logger(__name__)

READ_SECONDS = 20.0
"""For reading `banks` whole at an assignment; a rebalance waits for it."""


@dataclass
class StartProgress:
    """How far the start has come, for /readyz: ready with a place in the group, whatever partitions that gives."""

    loop: TransactionLoop | None = None
    store: FsspecStore | None = None

    def readiness(self) -> Readiness:
        """Whether frames are read, and the store takes what is learnt."""
        if self.loop is None:
            return Readiness(ready=False, sentence="Not ready: waiting for a broker.")
        if self.loop.state not in (State.OWNING, State.COMMITTING):
            return Readiness(ready=False, sentence=f"Not ready: {self.loop.state.value}.")
        if self.store is not None and self.store.write_fault is not None:
            return Readiness(ready=False, sentence=f"Not ready: nothing is learnt: {self.store.write_fault}.")
        taken_over = f" {self.loop.taken_over}" if self.loop.taken_over else ""
        sentence = f"Ready: {len(self.loop.claims)} partitions of frames are read.{taken_over}"
        return Readiness(ready=True, sentence=sentence)


@dataclass(frozen=True)
class _Shared:
    """What the parts of one trainer process share."""

    settings: TrainerSettings
    kafka: KafkaSettings
    windows: WindowStore
    bank_store: BankStore
    annotation_store: AnnotationStore
    gate_records: GateRecords
    files: ViewFiles
    builds: BuildQueue
    metrics: TrainerMetrics
    kafka_metrics: KafkaMetrics
    environment: BuildEnvironment
    decoder: FrameDecoder
    claims: Claims
    clock: Callable[[], float]
    now: Callable[[], datetime]

    @property
    def topics(self) -> Topics:
        """The trainer's topics on this cluster."""
        return topics_of(self.kafka)


def serve(
    settings: TrainerSettings,
    *,
    kafka: KafkaSettings,
    store_url: str,
    graph: Graph,
    network: NetworkRun,
    training_of: Callable[[str], ViewTraining],
    images: ImageSettings,
    claims: Claims,
    stop: Event,
    registry: CollectorRegistry,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Run the trainer until `stop`. Call it on the thread that lives as long as the process: builds die with it.

    Raises:
        BadKey: the key that banks are signed with cannot be used.
        PortInUse, StoreError, TopicMissing: the metrics port is taken, the store or a topic is not there.
        BrokerUnreachable: `stop` came before a broker.
        Fenced, Refused: another process took our place, or Kafka denies what we need; the process must end.
        NewerIndex, NewerSchema: a newer release wrote a window in this store, or a bank state.
    """
    heartbeat, progress = Heartbeat(limit_seconds=settings.heartbeat_limit_seconds, clock=clock), StartProgress()
    store = FsspecStore.open(store_url)
    signer = None if settings.signing_key_file is None else BankSigner.open(settings.signing_key_file)
    with ExitStack() as stack:
        stack.enter_context(_health(settings, registry, heartbeat, progress))
        environment = _build_environment(stack, graph, network, store_url, max_pixels=images.max_pixels)
        shared = _Shared(
            settings=settings,
            kafka=kafka,
            windows=WindowStore(store),
            bank_store=BankStore(store, graph_hash=graph.hash, keep=settings.keep_banks, signer=signer),
            annotation_store=AnnotationStore(store),
            gate_records=GateRecords(store, signer=signer, keep=settings.keep_gate_records),
            files=ViewFiles(store),
            builds=BuildQueue(environment, settings, clock=clock, now=now),
            metrics=declare_trainer(registry),
            kafka_metrics=declare_kafka(registry),
            environment=environment,
            decoder=stack.enter_context(FrameDecoder(images, workers=1, clock=clock)),
            claims=claims,
            clock=clock,
            now=now,
        )
        progress.store = store
        shared.metrics.store_failing.set_function(lambda: store.write_fault is not None)
        shared.kafka_metrics.loop_silent.set_function(lambda: heartbeat.silent_seconds)
        stack.enter_context(Watchdog(heartbeat))
        _trainer(shared, stack, progress, training_of, heartbeat=heartbeat, stop=stop).run(until=stop)


def _trainer(
    shared: _Shared,
    stack: ExitStack,
    progress: StartProgress,
    training_of: Callable[[str], ViewTraining],
    *,
    heartbeat: Heartbeat,
    stop: Event,
) -> Trainer:
    """The loop with all that it drives, connected; `stack` closes it."""
    kafka, topics = shared.kafka, shared.topics
    frames = stack.enter_context(WholeTopicReader.open(kafka, topics=topics.frames, stop=stop))
    commands = stack.enter_context(WholeTopicReader.open(kafka, topics=[topics.commands], stop=stop))
    feedback = stack.enter_context(WholeTopicReader.open(kafka, topics=[topics.feedback], stop=stop))
    tried = _shadow_decisions(kafka, stack, stop)
    views = _owned_views(shared, training_of, ends=frames.end_offsets)
    lost = counting_lost(shared.kafka_metrics, topics.frames)
    progress.loop = stack.enter_context(_loop(kafka, topics, views, stop, lost=lost))
    group = kafka.group(kafka.trainer_group)
    stack.enter_context(GroupLag(kafka, progress.loop, shared.kafka_metrics, group_id=group, topics=topics.frames))
    publisher = Publisher(
        progress.loop,
        views,
        shared.windows,
        topics,
        metrics=shared.metrics,
        kafka_metrics=shared.kafka_metrics,
    )
    effects = WindowEffects(shared.builds, publisher, shared.metrics, now=shared.now)
    set_aside = SetAside(shared.metrics.records_set_aside)
    return Trainer(
        loop=progress.loop,
        views=views,
        collector=_collector(shared, views),
        controller=_controller(shared, views, publisher, effects, set_aside, commands=commands, feedback=feedback),
        lost_banks=_lost_banks(shared, views, publisher, effects),
        shadow_watch=ShadowWatch(
            decisions=tried,
            views=views,
            bank_store=shared.bank_store,
            publisher=publisher,
            metrics=shared.metrics,
            now=shared.now,
        ),
        silent_views=SilentViews(
            views,
            publisher,
            shared.files,
            forget_after_seconds=shared.settings.forget_after_seconds,
            clock=shared.clock,
        ),
        publisher=publisher,
        builds=shared.builds,
        set_aside=set_aside,
        settings=shared.settings,
        kafka_metrics=shared.kafka_metrics,
        heartbeat=heartbeat,
        clock=shared.clock,
    )


def _shadow_decisions(kafka: KafkaSettings, stack: ExitStack, stop: Event) -> WholeTopicReader | None:
    """What banks in shadow decide; None where the topic is missing or its reading is not allowed: none is promoted."""
    try:
        return stack.enter_context(WholeTopicReader.open(kafka, topics=[kafka.topic("decisions.shadow")], stop=stop))
    except TopicMissing as error:
        log.warning("no_shadow", cause=str(error))
        return None


def _owned_views(
    shared: _Shared,
    training_of: Callable[[str], ViewTraining],
    *,
    ends: Callable[[], Mapping[Partition, int]],
) -> OwnedViews:
    return OwnedViews(
        topics=shared.topics.frames,
        windows=shared.windows,
        training_of=training_of,
        read_states=lambda: read_states(shared.kafka, shared.topics.banks),
        ends=ends,
        metrics=shared.metrics,
        max_views=shared.settings.max_views,
        now=shared.now,
    )


def _collector(shared: _Shared, views: OwnedViews) -> Collector:
    return Collector(
        views,
        shared.windows,
        shared.metrics,
        baseline_of=shared.bank_store.input_baseline,
        decoder=shared.decoder,
        claims=shared.claims,
        first_topic=shared.topics.frames[0],
        clock=shared.clock,
    )


def _controller(
    shared: _Shared,
    views: OwnedViews,
    publisher: Publisher,
    effects: WindowEffects,
    set_aside: SetAside,
    *,
    commands: WholeTopicReader,
    feedback: WholeTopicReader,
) -> ViewController:
    return ViewController(
        views=views,
        commands=MessageQueue(commands, Command),
        feedback=MessageQueue(feedback, Feedback),
        frames=KafkaFrames(shared.kafka, shared.claims),
        builds=shared.builds,
        bank_store=shared.bank_store,
        annotation_store=shared.annotation_store,
        gate_records=shared.gate_records,
        files=shared.files,
        windows=shared.windows,
        publisher=publisher,
        effects=effects,
        set_aside=set_aside,
        metrics=shared.metrics,
        graph_hash=shared.bank_store.graph_hash,
        now=shared.now,
    )


def _lost_banks(shared: _Shared, views: OwnedViews, publisher: Publisher, effects: WindowEffects) -> LostBanks:
    return LostBanks(
        views=views,
        bank_store=shared.bank_store,
        windows=shared.windows,
        publisher=publisher,
        effects=effects,
        metrics=shared.metrics,
        check_seconds=shared.settings.lost_check_seconds,
        clock=shared.clock,
        now=shared.now,
    )


def _health(
    settings: TrainerSettings, registry: CollectorRegistry, heartbeat: Heartbeat, progress: StartProgress
) -> HealthServer:
    return HealthServer(
        registry=registry,
        heartbeat=heartbeat,
        ready=progress.readiness,
        port=settings.metrics_port,
        host=settings.metrics_host,
    )


def _loop(
    kafka: KafkaSettings, topics: Topics, views: OwnedViews, stop: Event, *, lost: Callable[[Partition, int], None]
) -> TransactionLoop:
    return TransactionLoop.open(
        kafka,
        group_id=kafka.group(kafka.trainer_group),
        reads=topics.frames,
        writes=[topics.banks, topics.bank_events],
        ownership=views,
        stop=stop,
        lost=lost,
    )


def topics_of(kafka: KafkaSettings) -> Topics:
    """The trainer's topics on this cluster."""
    return Topics(
        frames=kafka.frame_topics,
        banks=kafka.topic("banks"),
        bank_events=kafka.topic("bank-events"),
        commands=kafka.topic("commands"),
        feedback=kafka.topic("feedback"),
    )


def read_states(kafka: KafkaSettings, topic: str) -> dict[str, BankState]:
    """The last state of every view. Raises BrokerUnreachable; NewerSchema where a newer release wrote one."""
    with WholeTopicReader.open(kafka, topics=[topic], give_up_seconds=READ_SECONDS) as reader:
        return bank_states(reader.read_to_end(READ_SECONDS), accept_newer=False)


def _build_environment(
    stack: ExitStack, graph: Graph, network: NetworkRun, store_url: str, *, max_pixels: int
) -> BuildEnvironment:
    folder = stack.enter_context(build_workdir())
    graph_file = folder / "graph.onnx"
    graph_file.write_bytes(graph.model)
    return BuildEnvironment(
        graph_file=graph_file, network=network, store_url=store_url, max_pixels=max_pixels, folder=folder
    )
