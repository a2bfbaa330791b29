"""The inference service's metrics, written by the loop's thread alone: a decision is counted once it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inference.bank_notices import BankNotPutInForce
from inference.banks import Serving
from ingest.dead_letter import DeadLetter
from monitoring.metrics import close_view, open_view, set_bank

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from inference.bank_notices import BankNotice
    from inference.decide import InForce
    from inference.inspector import AnswerBatch, FrameAnswer
    from ingest.decision import Decision
    from ingest.kafka.records import Partition, Record, Work
    from monitoring.metrics import InferenceMetrics, KafkaMetrics


class InspectionReporting:
    """Keeps the metrics of one process; a view opens with its first record and closes with its partition."""

    def __init__(self, inference: InferenceMetrics, kafka: KafkaMetrics, *, provider: str, precision: str) -> None:
        self._inference = inference
        self._kafka = kafka
        self._provider = provider
        self._precision = precision
        self._partition_of: dict[str, Partition] = {}
        self._bank_shown: dict[str, InForce] = {}
        self._foreign_partitions: set[Partition] = set()
        """Partitions that went to others: what was being scored for them is not counted here."""
        self._foreign_views: dict[str, Partition] = {}
        """Views that went with them, with their partition: the process that owns them shows their banks."""

    def polled(self, records: Iterable[Record]) -> None:
        """Records taken from Kafka."""
        self._kafka.records_polled.inc(len(list(records)))

    def poll_failed(self) -> None:
        """A poll that ended in an abort."""
        self._kafka.polls_failed.inc()

    def worked(self, batch: AnswerBatch) -> None:
        """A batch left the worker."""
        for view in batch.forgotten:
            self._partition_of.pop(view, None)
            self._bank_shown.pop(view, None)
            close_view(self._inference, view)
        ours = {answer.view for answer in batch.answers if _partition_of(answer) not in self._foreign_partitions}
        for view, status in batch.statuses.items():
            if view in ours and isinstance(status, Serving):
                self._show_bank(view, status.in_force)
        self._inference.batch_frames.observe(len(batch.answers))
        for stage, seconds in batch.stage_seconds.items():
            self._inference.stage_seconds.labels(stage=stage).observe(seconds)
        for answer in batch.answers:
            self._inference.queue_wait.observe(answer.queue_seconds)
            self._open(answer)

    def aborted(self) -> None:
        """A transaction that did not happen."""
        self._kafka.transactions_aborted.inc()

    def committed(self, answers: Iterable[FrameAnswer], done: Iterable[Work], seconds: float, at: datetime) -> None:
        """Only what is in Kafka counts as decided."""
        self._kafka.transactions_committed.inc()
        self._kafka.commit_seconds.observe(seconds)
        self._inference.stage_seconds.labels(stage="publish").observe(seconds)
        finished = {id(work) for work in done}
        for answer in answers:
            if id(answer.work) in finished:
                self._finished(answer, at)

    def clock(self, skew_seconds: float | None) -> None:
        """How far this machine's clock is ahead of the broker's, where that is known."""
        if skew_seconds is not None:
            self._inference.clock_skew.set(skew_seconds)

    def queue(self, *, waiting: int, paused: int, owned: int) -> None:
        """How things stand, once a round."""
        self._inference.queue_depth.set(waiting)
        self._kafka.partitions_owned.set(owned)
        self._kafka.partitions_paused.set(paused)

    def moved(self, owned: Iterable[Partition], gone: Iterable[Partition]) -> None:
        """A rebalance gave this process these partitions: the series of what belongs to others end here."""
        self._kafka.rebalances.inc()
        mine = set(owned)
        self._foreign_partitions = (self._foreign_partitions | set(gone)) - mine
        for view in [view for view, partition in self._partition_of.items() if partition not in mine]:
            self._foreign_views[view] = self._partition_of.pop(view)
            self._bank_shown.pop(view, None)
            close_view(self._inference, view)
        self._foreign_views = {view: each for view, each in self._foreign_views.items() if each not in mine}

    def banks_changed(self, notices: Iterable[BankNotice]) -> None:
        """Show the bank of a view before its first frame, and count swaps and refusals; not of views of others."""
        for notice in notices:
            if notice.view in self._foreign_views:
                continue
            if isinstance(notice, BankNotPutInForce):
                self._inference.bank_refusals.labels(view=notice.view).inc()
                continue
            self._inference.bank_swaps.labels(view=notice.view).inc(notice.swapped)
            self._show_bank(notice.view, notice.in_force)

    def _show_bank(self, view: str, bank: InForce) -> None:
        if self._bank_shown.get(view) == bank:
            return
        if view not in self._bank_shown and view in self._partition_of:
            open_view(self._inference, view)
        self._bank_shown[view] = bank
        self._inference.threshold.labels(view=view).set(bank.limits.threshold)
        set_bank(
            self._inference,
            view,
            version=bank.version,
            epoch=bank.epoch,
            provider=self._provider,
            precision=self._precision,
        )

    def _open(self, answer: FrameAnswer) -> None:
        """A record that names no view opens none: its dead letter and its arrival count under the empty name."""
        if not answer.view or _partition_of(answer) in self._foreign_partitions:
            return
        if answer.view not in self._partition_of:
            open_view(self._inference, answer.view, has_bank=answer.view in self._bank_shown)
        self._partition_of[answer.view] = _partition_of(answer)
        self._foreign_views.pop(answer.view, None)

    def _finished(self, answer: FrameAnswer, at: datetime) -> None:
        self._inference.frames_received.labels(view=answer.view).inc()
        if answer.missing_frames:
            self._inference.sequence_gaps.labels(view=answer.view).inc(answer.missing_frames)
        for name in answer.unread_headers:
            self._inference.headers_unread.labels(header=name).inc()
        if isinstance(answer.message, DeadLetter):
            self._inference.dead_letters.labels(view=answer.view).inc()
            self._inference.dead_letters_by_reason.labels(reason=answer.message.reason.value).inc()
        else:
            self._decided(answer.message, at)

    def _decided(self, decision: Decision, at: datetime) -> None:
        view = decision.view
        self._inference.decisions.labels(view=view, verdict=decision.verdict.value).inc()
        if decision.reason is not None:
            self._inference.undecided.labels(view=view, reason=decision.reason.value).inc()
        if decision.input_fault is not None:
            self._inference.input_faults.labels(view=view, reason=decision.input_fault.value).inc()
        if decision.score_ratio is not None:
            self._inference.score_ratio.labels(view=view).observe(decision.score_ratio)
        if decision.duplicate_of is not None:
            self._inference.duplicates.labels(view=view).inc()
        self._inference.latency.labels(view=view).observe(max(0.0, (at - decision.appended_at).total_seconds()))


def _partition_of(answer: FrameAnswer) -> Partition:
    return answer.work.claim.partition
