"""The drift service: one thread that reads decisions, and between two batches measures distances and writes metrics.

Where it starts, it reads the last decisions of each partition again: verdict, evidence and past are then what they
were, and what was counted before is not counted twice. The group's offsets say how far decisions have been counted;
they are committed after the decisions were followed, so none is left out.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import structlog

from ingest.contract import BadMessage
from ingest.decision import Decision
from ingest.kafka.errors import Aborted, BrokerUnreachable
from ingest.kafka.group_lag import GroupLag, counting_lost
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Work
from ingest.kafka.transactions import State, TransactionLoop
from monitoring.drift.detector import WINDOW_FRAMES, distances
from monitoring.health import HealthServer, Heartbeat, Readiness
from monitoring.metrics import declare_kafka, declare_watch
from monitoring.watch.calibrations import Calibrations
from monitoring.watch.drift_events import drift_event
from monitoring.watch.rebuild_request import rebuild_request
from monitoring.watch.replays import Replays
from monitoring.watch.reporting import DriftReporting
from monitoring.watch.views import Views
from monitoring.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from prometheus_client import CollectorRegistry

    from ingest.command import Command
    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Claim, Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.store import Store
    from monitoring.watch.settings import WatchSettings
    from monitoring.watch.views import FollowedView

log = structlog.get_logger(__name__)

ROOM = 500
"""Decisions taken in one round: 50 ms of work."""
ROUND_SECONDS = 5.0
"""Where decisions take longer than this (a slow store), the group is polled again before the rest: it waits 30 s."""
LOOKS = 5
"""Views whose distances are taken in one round, at most: as much again."""
SHOW_SECONDS = 1.0
READ_SECONDS = 60.0
"""For reading `banks` whole at the start."""
UNKNOWN_BANK_SECONDS = 1.0
"""How long a decision by a bank that `banks` did not name yet may wait for its record."""


class Watch:
    """The loop's thread."""

    def __init__(
        self,
        loop: Loop,
        views: Views,
        replays: Replays,
        *,
        follow_banks: Callable[[], None],
        commands_topic: str,
        events_topic: str,
        settings: WatchSettings,
        reporting: DriftReporting,
        heartbeat: Heartbeat,
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._views = views
        self._replays = replays
        self._follow_banks = follow_banks
        self._commands_topic = commands_topic
        self._events_topic = events_topic
        self._settings = settings
        self._reporting = reporting
        self._heartbeat = heartbeat
        self._clock = clock
        self._read: deque[Record] = deque()
        self._done: dict[Claim, Work] = {}
        self._committed_at = self._shown_at = clock()

    def run(self, *, until: Event) -> None:
        """Follow decisions until `until` is set.

        Raises:
            Fenced: another process took our place; exit, the supervisor restarts.
            Refused: Kafka will never accept what we do; a person must act.
        """
        while not until.is_set():
            self.round()
        self._commit()

    def round(self) -> None:
        """Read what is there, then look after banks, distances, silent views and offsets."""
        self._heartbeat.beat()
        self._follow_banks()
        self._poll()
        ends = self._clock() + ROUND_SECONDS
        while self._read and self._clock() < ends:
            self._take(self._read.popleft())
        for view in self._due():
            self._look(view)
        self._reporting.forgotten(self._views.forget())
        if self._clock() - self._shown_at >= SHOW_SECONDS:
            self._show()
        if self._clock() - self._committed_at >= self._settings.commit_seconds:
            self._commit()

    def _poll(self) -> None:
        """Read on once all that was read is taken; what a rebalance took away meanwhile is for others."""
        seconds, room = (0.0, 0) if self._read else (self._settings.poll_seconds, ROOM)
        records: Sequence[Record] = ()
        try:
            records = self._loop.poll(seconds, room=room)
        except Aborted as error:
            self._reporting.poll_failed(str(error))
        self._reporting.polled(len(records))
        owned = set(self._loop.claims.values())
        self._read = deque(each for each in (*self._read, *records) if each.claim in owned)

    def _take(self, record: Record) -> None:
        """The offset is committed with what the decision led to, so a command is written once."""
        self._heartbeat.beat()
        again = self._replays.is_counted(record)
        try:
            written = self._followed(Decision.from_bytes(record.value or b""), record.partition, again=again)
        except BadMessage as error:
            self._reporting.unreadable((record.key or b"").decode("utf-8", "replace"), str(error))
            written = ()
        if record.claim is None:
            return
        before = self._done.get(record.claim, Work(record.claim, 0))
        outgoing = () if self._replays.is_answered(record) else written
        self._done[record.claim] = Work(record.claim, record.offset + 1, before.outgoing + outgoing)

    def _followed(self, decision: Decision, partition: int, *, again: bool) -> tuple[Outgoing, ...]:
        """What the decision makes the watch write: the step of an episode, and a command."""
        started = self._clock()
        view = self._views.opened(decision.view, partition)
        result = self._views.take(decision, view, again=again)
        self._reporting.followed(view, result, again=again, seconds=self._clock() - started)
        command, event = rebuild_request(decision, result, self._settings), drift_event(decision, result)
        events = () if event is None else (Outgoing(self._events_topic, event.view.encode(), event.to_bytes()),)
        return events if command is None else (*events, self._outgoing(command))

    def _outgoing(self, command: Command) -> Outgoing:
        log.info("rebuild_asked", view=command.view, why=command.why)
        return Outgoing(self._commands_topic, command.view.encode(), command.to_bytes())

    def _due(self) -> list[FollowedView]:
        """Views that went on since their distances were taken, the longest waiting first."""
        before = self._clock() - self._settings.distances_every_seconds
        due = [
            view
            for view in self._views
            if view.looked_at <= before
            and view.drift is not None
            and view.drift.following.seen >= max(WINDOW_FRAMES, view.looked_after)
        ]
        return nsmallest(LOOKS, due, key=lambda view: view.looked_at)

    def _look(self, view: FollowedView) -> None:
        if view.drift is None:
            return
        started, following = self._clock(), view.drift.following
        rng = np.random.default_rng((crc32(view.name.encode()), following.seen))
        found = distances(following, view.drift.baseline, rng)
        view.looked_at, view.looked_after = self._clock(), following.seen + 1
        self._reporting.looked(view, found, view.looked_at - started)

    def _show(self) -> None:
        self._shown_at = self._clock()
        self._reporting.shown(list(self._views))
        self._reporting.owned(len(self._loop.claims))

    def _commit(self) -> None:
        self._committed_at = started = self._clock()
        works = list(self._done.values())
        self._done.clear()
        try:
            committed = self._loop.commit(works)
        except Aborted as error:
            self._reporting.aborted(str(error))
            return
        if committed.done:
            self._reporting.committed(self._clock() - started)


@dataclass
class FollowProgress:
    """How far the start has come, for `/readyz`."""

    loop: Loop | None = None

    def readiness(self) -> Readiness:
        """Whether decisions are followed."""
        if self.loop is None:
            return Readiness(ready=False, sentence="Not ready: waiting for a broker, then for what `banks` says.")
        if self.loop.state not in (State.OWNING, State.COMMITTING):
            return Readiness(ready=False, sentence="Not ready: joining the consumer group.")
        taken_over = f" {self.loop.taken_over}" if self.loop.taken_over else ""
        sentence = f"Ready: {len(self.loop.claims)} partitions of decisions are followed.{taken_over}"
        return Readiness(ready=True, sentence=sentence)


def serve(
    settings: WatchSettings,
    *,
    kafka: KafkaSettings,
    store: Store,
    stop: Event,
    registry: CollectorRegistry,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run the drift service until `stop` is set.

    Raises:
        PortInUse: the metrics port is taken.
        TopicMissing: `patchline topics create` has not been run.
        BrokerUnreachable: `stop` came before a broker.
        Fenced, Refused: see `Watch.run`.
    """
    metrics, progress = declare_watch(registry), FollowProgress()
    heartbeat = Heartbeat(limit_seconds=settings.silence_seconds, clock=clock)
    host, port = settings.metrics_host, settings.metrics_port
    alarm = settings.frames_per_false_alarm
    kafka_metrics = declare_kafka(registry)
    kafka_metrics.loop_silent.set_function(lambda: heartbeat.silent_seconds)
    reporting = DriftReporting(metrics, kafka_metrics, frames_per_false_alarm=alarm)
    with ExitStack() as stack:
        stack.enter_context(
            HealthServer(registry=registry, heartbeat=heartbeat, ready=progress.readiness, port=port, host=host)
        )
        topic, commands, events = kafka.topic("decisions"), kafka.topic("commands"), kafka.topic("drift-events")
        banks = stack.enter_context(WholeTopicReader.open(kafka, topics=[kafka.topic("banks")], stop=stop))
        decisions = stack.enter_context(WholeTopicReader.open(kafka, topics=[topic], stop=stop))
        calibrations = Calibrations(
            store,
            read_banks=lambda: _news(banks, UNKNOWN_BANK_SECONDS),
            retry_seconds=settings.retry_seconds,
            clock=clock,
            on_read=reporting.calibrated,
        )
        calibrations.take(banks.read_to_end(READ_SECONDS))
        views = Views(calibrations, settings, clock=clock)
        replays = Replays(views, reporting, ends=decisions.end_offsets, replay_decisions=settings.replay_decisions)
        loop = progress.loop = stack.enter_context(
            TransactionLoop.open(
                kafka,
                group_id=kafka.group(kafka.watch_group),
                reads=[topic],
                writes=[commands, events],
                ownership=replays,
                stop=stop,
                lost=counting_lost(kafka_metrics, [topic]),
            )
        )
        group = kafka.group(kafka.watch_group)
        stack.enter_context(GroupLag(kafka, loop, kafka_metrics, group_id=group, topics=[topic]))
        stack.enter_context(Watchdog(heartbeat))
        log.info("watching", decisions=topic)
        Watch(
            loop,
            views,
            replays,
            follow_banks=lambda: calibrations.take(_news(banks, 0.0)),
            commands_topic=commands,
            events_topic=events,
            settings=settings,
            reporting=reporting,
            heartbeat=heartbeat,
            clock=clock,
        ).run(until=stop)


def _news(banks: WholeTopicReader, seconds: float) -> list[Record]:
    try:
        return banks.poll(seconds)
    except BrokerUnreachable as error:
        log.warning("banks_not_read", cause=str(error))
        return []
