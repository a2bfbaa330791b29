"""The trainer as a service: one thread that reads frames, and between two batches does everything else."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import structlog

from ingest.kafka.errors import Aborted, BrokerUnreachable
from ingest.store import StoreError
from trainer.publisher import NotOurs, Publisher
from trainer.set_aside import NotTaken

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Record
    from monitoring.health import Heartbeat
    from monitoring.metrics import KafkaMetrics
    from trainer.build_queue import BuildQueue
    from trainer.collector import Collector
    from trainer.controller import ViewController
    from trainer.lost_banks import LostBanks
    from trainer.owned_views import OwnedViews
    from trainer.set_aside import SetAside
    from trainer.settings import TrainerSettings
    from trainer.shadow_watch import ShadowWatch
    from trainer.silent_views import SilentViews

log = structlog.get_logger(__name__)

ROOM = 64
"""Records taken in one round: builds and commands are followed in between."""

READ_ON_SECONDS = 0.5
"""Of reading windows in one round, after partitions came; what arrives meanwhile is read out of turn."""

COLLECT_SECONDS = 5.0
"""Of collecting in one round: pictures that take long to decode must not make the trainer miss its polls."""


class Trainer:
    """The loop. Every step that fails for want of the store or the broker is left alone for `retry_seconds`."""

    def __init__(
        self,
        *,
        loop: Loop,
        views: OwnedViews,
        collector: Collector,
        controller: ViewController,
        lost_banks: LostBanks,
        shadow_watch: ShadowWatch,
        silent_views: SilentViews,
        publisher: Publisher,
        builds: BuildQueue,
        set_aside: SetAside,
        settings: TrainerSettings,
        kafka_metrics: KafkaMetrics,
        heartbeat: Heartbeat,
        clock: Callable[[], float],
    ) -> None:
        self._loop = loop
        self._views = views
        self._collector = collector
        self._controller = controller
        self._lost_banks = lost_banks
        self._shadow_watch = shadow_watch
        self._silent_views = silent_views
        self._publisher = publisher
        self._builds = builds
        self._set_aside = set_aside
        self._settings = settings
        self._kafka_metrics = kafka_metrics
        self._heartbeat = heartbeat
        self._clock = clock
        self._flushed_at = clock()
        self._not_before: dict[str, float] = {}
        self._pending: deque[Record] = deque()

    def run(self, *, until: Event) -> None:
        """Go round until `until` is set, then write what is in memory. Raises Fenced, Refused: the process must end."""
        try:
            while not until.is_set():
                if not self.round():
                    until.wait(self._settings.poll_seconds)  # nothing was waited for in there
            self._attempt("flush", self._flush)
        finally:
            self._builds.clear()

    def round(self) -> bool:
        """Read what is there, then serve new views, people, builds and windows; whether reading went well."""
        self._heartbeat.beat()
        polled = self._attempt("poll", self._poll)
        self._attempt("read windows", lambda: self._views.read_on(READ_ON_SECONDS))
        self._attempt("collect", self._collect)
        self._attempt("announce", self._controller.announce)
        self._attempt("lost banks", self._lost_banks.check)
        self._attempt("silent views", self._silent_views.check)
        self._attempt("commands", self._controller.follow_commands)
        self._attempt("feedback", self._controller.follow_feedback)
        self._attempt("shadow", self._shadow_watch.follow)
        self._attempt("builds", self._controller.follow_builds)
        if self._clock() - self._flushed_at >= self._settings.flush_seconds:
            self._attempt("flush", self._flush)
        return polled

    def _poll(self) -> None:
        """While records wait here, membership goes on and nothing more is fetched."""
        self._pending.extend(self._loop.poll(self._settings.poll_seconds, room=0 if self._pending else ROOM))
        self._kafka_metrics.partitions_owned.set(len(self._loop.claims))

    def _collect(self) -> None:
        ends = self._clock() + COLLECT_SECONDS
        try:
            while self._pending and self._clock() < ends:
                record = self._pending[0]
                if self._loop.claims.get(record.topic_partition) == record.claim:
                    self._take(record)
                    self._kafka_metrics.records_polled.inc()
                self._pending.popleft()
        finally:
            self._collector.settle()

    def _take(self, record: Record) -> None:
        """Raises NotTaken where it fails: it waits for the next try. Whatever one record does, the others go on."""
        camera = (record.key or b"").decode("utf-8", "replace")
        try:
            self._collector.take(record)
        except Exception as error:
            if not self._set_aside.failed((record.topic, record.partition, record.offset), error, of=camera):
                raise NotTaken(f"{type(error).__name__}: {error}") from error
            self._collector.pass_over(record)
        else:
            self._set_aside.succeeded(of=camera)

    def _flush(self) -> None:
        self._flushed_at = self._clock()
        self._publisher.flush(in_use=self._builds.reads)

    def _attempt(self, doing: str, work: Callable[[], None]) -> bool:
        if self._clock() < self._not_before.get(doing, float("-inf")):
            return False
        try:
            work()
        except (StoreError, BrokerUnreachable, NotTaken, OSError) as error:
            self._not_before[doing] = self._clock() + self._settings.retry_seconds
            # The sentence is enough: no traceback.
            log.error("will_try_again", doing=doing, detail=str(error), seconds=self._settings.retry_seconds)  # noqa: TRY400
        except NotOurs as error:
            log.warning("not_published", view=str(error), detail="another trainer owns this view now")
        except Aborted as error:
            self._kafka_metrics.transactions_aborted.inc()
            log.warning("aborted", doing=doing, detail=str(error))
        else:
            return True
        return False
