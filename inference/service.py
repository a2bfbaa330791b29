"""The inference service: the loop that owns Kafka, and the worker that scores.

    loop     poll -> accept -> collect -> commit, never waiting for a batch longer than a moment
    worker   take what waits -> inspect -> answer
    banks    follow the `banks` topic (inference.follower)

Answers are committed in the order of their partition, all that are ready in one transaction. An abort makes every claim
void: what waits is dropped here, what is being scored is left out of the next commit, and Kafka gives it all again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from inference.inspector import Queued
from ingest.kafka.errors import Aborted, TooLarge
from ingest.kafka.transactions import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from threading import Event

    from inference.answer_sizes import AnswerSizes
    from inference.bank_notices import BankNotices
    from inference.handoff_queue import HandoffQueue
    from inference.inspector import AnswerBatch
    from inference.reporting import InspectionReporting
    from inference.settings import InferenceSettings
    from ingest.kafka.broker_clock import BrokerClock
    from ingest.kafka.loop import Loop
    from ingest.kafka.records import Claim, Partition, Record
    from monitoring.health import Heartbeat

log = structlog.get_logger(__name__)

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
