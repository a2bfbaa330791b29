"""What is counted, when, and what goes when a partition does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from inference.bank_notices import BankNotices, BankNotPutInForce, BankPutInForce
from inference.banks import Serving
from inference.decide import InForce, Limits, NoBank, decide
from inference.inspector import AnswerBatch, FrameAnswer
from inference.reporting import InspectionReporting
from ingest.dead_letter import dead_letter_of
from ingest.decision import Reason
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Claim, Partition, Work
from monitoring.metrics import declare_inference, declare_kafka
from softpatch.images.input_faults import InputBaseline, InputFault
from softpatch.scoring.score import Scorer
from softpatch.scoring.search import BruteSearch
from tests.inference.sample_bank import AT, VIEW, record
from tests.inference.test_decide import LEARNING, PLAIN, facts

if TYPE_CHECKING:
    from inference.bank_notices import BankNotice
    from ingest.kafka.records import Record
    from softpatch.bank import Bank


CHANGES: list[BankNotice] = [BankPutInForce("line/b", PLAIN, swapped=True), BankNotPutInForce("line/b")]
"""A swap and a refusal of another view's bank."""


class ReportedMetrics:
    """Reporting, and the values in its registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        inference, kafka = declare_inference(self.registry), declare_kafka(self.registry)
        self.reporting = InspectionReporting(inference, kafka, provider="cpu", precision="fp32")

    def value(self, name: str, **labels: str) -> float | None:
        """A sample; None where there is no such series."""
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def metrics() -> ReportedMetrics:
    """A fresh registry."""
    return ReportedMetrics()


def decided(of: Record, *, learning: bool = False) -> FrameAnswer:
    """A passed frame of the view `line/cam`, or one of a view that learns; its score ratio is 0.5."""
    decision = decide(facts(None, LEARNING) if learning else facts(1.0, PLAIN))
    return FrameAnswer(Work.of(of), VIEW, decision, queue_seconds=0.1, missing_frames=2)


def dead(of: Record, view: str) -> FrameAnswer:
    """A dead letter."""
    letter = dead_letter_of(
        source=decide(facts(1.0, PLAIN)).source,
        reason=DeadLetterReason.TRUNCATED,
        detail="cut",
        at=AT,
        key=of.key,
        value=of.value,
        headers=(),
    )
    return FrameAnswer(Work.of(of), view, letter, queue_seconds=0.1)


def test_a_view_shows_all_its_verdicts_at_zero_before_any_is_committed(metrics: ReportedMetrics) -> None:
    """Scored is not decided: only the commit counts."""
    metrics.reporting.worked(AnswerBatch((decided(record(0, b"x")),)))
    for verdict in ("pass", "fail", "undecided"):
        assert metrics.value("patchline_decisions_total", view=VIEW, verdict=verdict) == 0


def test_what_is_committed_is_counted_and_what_was_void_is_not(metrics: ReportedMetrics) -> None:
    """Of two answers one is in Kafka: one pass, its gap, its latency and its ratio."""
    kept, lost = decided(record(0, b"x")), decided(record(1, b"x"))
    metrics.reporting.worked(AnswerBatch((kept, lost)))
    metrics.reporting.committed([kept, lost], [kept.work], 0.01, AT + timedelta(seconds=0.5))
    assert metrics.value("patchline_decisions_total", view=VIEW, verdict="pass") == 1
    assert metrics.value("patchline_sequence_gap_frames_total", view=VIEW) == 2
    assert metrics.value("patchline_decision_latency_seconds_sum", view=VIEW) == 0.5
    assert metrics.value("patchline_score_ratio_sum", view=VIEW) == 0.5
    assert metrics.value("patchline_kafka_transactions_committed_total") == 1


def test_an_undecided_frame_is_counted_by_its_reason(metrics: ReportedMetrics) -> None:
    """And has no ratio to observe."""
    answer = decided(record(0, b"x"), learning=True)
    metrics.reporting.committed([answer], [answer.work], 0.01, AT)
    assert metrics.value("patchline_undecided_total", view=VIEW, reason="learning") == 1
    assert metrics.value("patchline_score_ratio_count", view=VIEW) is None


def test_a_dead_letter_counts_for_its_view_and_one_without_for_none(metrics: ReportedMetrics) -> None:
    """A record without a key opens no view of its own."""
    answers = [dead(record(0, b"x"), VIEW), dead(record(1, b"x", key=None), "")]
    metrics.reporting.worked(AnswerBatch(tuple(answers)))
    metrics.reporting.committed(answers, [each.work for each in answers], 0.01, AT)
    assert metrics.value("patchline_dead_letters_total", view=VIEW) == 1
    assert metrics.value("patchline_dead_letters_total", view="") == 1
    assert metrics.value("patchline_dead_letters_by_reason_total", reason="truncated") == 2
    assert metrics.value("patchline_dead_letters_by_reason_total", reason="no_key") == 0
    assert metrics.value("patchline_decisions_total", view="", verdict="pass") is None


def test_a_bank_is_named_when_it_comes_into_force(metrics: ReportedMetrics) -> None:
    """Before the first frame; the one before goes."""
    for version, threshold in (("a" * 64, 2.0), ("b" * 64, 3.0)):
        in_force = InForce(version, 7, Limits(threshold, threshold, threshold), provisional=False)
        metrics.reporting.banks_changed([BankPutInForce(VIEW, in_force, swapped=True)])
    labels = {"view": VIEW, "epoch": "7", "provider": "cpu", "precision": "fp32"}
    assert metrics.value("patchline_bank_info", version="a" * 64, **labels) is None
    assert metrics.value("patchline_bank_info", version="b" * 64, **labels) == 1
    assert metrics.value("patchline_threshold", view=VIEW) == 3.0


def test_views_of_a_lost_partition_leave_the_page_and_come_back_with_it(metrics: ReportedMetrics) -> None:
    """The other partition's view stays; a bank that was named once is named again."""
    mine, gone = Partition("frames", 0), Partition("frames", 1)
    other = FrameAnswer(Work.of(record(0, b"x", partition=1)), "line/b", decided(record(0, b"x")).message, 0.0)
    batch = AnswerBatch((decided(record(0, b"x")), other))
    metrics.reporting.worked(batch)
    metrics.reporting.banks_changed(CHANGES)
    metrics.reporting.moved([mine], [gone])
    assert metrics.value("patchline_decisions_total", view="line/b", verdict="pass") is None
    assert metrics.value("patchline_threshold", view="line/b") is None
    assert metrics.value("patchline_decisions_total", view=VIEW, verdict="pass") == 0
    metrics.reporting.moved([mine, gone], [])
    metrics.reporting.banks_changed(CHANGES)
    assert metrics.value("patchline_threshold", view="line/b") == 2.0


def test_a_partition_of_the_same_number_in_another_topic_is_another_one(metrics: ReportedMetrics) -> None:
    """Its views go, those of the first topic stay."""
    mine, gone = Partition("frames", 0), Partition("cell-4", 0)
    there = replace(record(0, b"x"), topic="cell-4", claim=Claim(gone, 1))
    answer = FrameAnswer(Work.of(there), "line/b", decided(record(0, b"x")).message, 0.0)
    metrics.reporting.worked(AnswerBatch((decided(record(0, b"x")), answer)))
    metrics.reporting.moved([mine], [gone])
    assert metrics.value("patchline_decisions_total", view="line/b", verdict="pass") is None
    assert metrics.value("patchline_decisions_total", view=VIEW, verdict="pass") == 0


def test_a_view_that_moved_away_does_not_come_back_with_a_change_of_its_bank(metrics: ReportedMetrics) -> None:
    """The thread that follows `banks` reads of every view: its next notice brought foreign series back."""
    mine, gone = Partition("frames", 0), Partition("frames", 1)
    answer = FrameAnswer(Work.of(record(0, b"x", partition=1)), "line/b", decided(record(0, b"x")).message, 0.0)
    metrics.reporting.worked(AnswerBatch((answer,)))
    metrics.reporting.moved([mine], [gone])
    metrics.reporting.banks_changed(CHANGES)
    for name in ("patchline_threshold", "patchline_bank_swaps_total", "patchline_bank_refusals_total"):
        assert metrics.value(name, view="line/b") is None
    metrics.reporting.moved([mine, gone], [])
    metrics.reporting.banks_changed(CHANGES)
    assert metrics.value("patchline_bank_swaps_total", view="line/b") == 1
    assert metrics.value("patchline_bank_refusals_total", view="line/b") == 1


def test_notices_of_one_thread_are_taken_by_another_once_and_in_order() -> None:
    """Banks change on a thread of their own; metrics are written by the loop's, which also closes views."""
    notices = BankNotices()

    def put_all() -> None:
        for each in CHANGES:
            notices.put(each)

    other = Thread(target=put_all)
    other.start()
    other.join()
    assert notices.drain() == CHANGES
    assert notices.drain() == []


def test_a_batch_that_was_under_way_when_its_partition_went_opens_no_view(metrics: ReportedMetrics, bank: Bank) -> None:
    """Its answers are void, its view belongs to another process; when the partition comes back it is told again."""
    mine, gone = Partition("frames", 0), Partition("frames", 1)
    answer = FrameAnswer(Work.of(record(0, b"x", partition=1)), "line/b", decided(record(0, b"x")).message, 0.0)
    batch = AnswerBatch(
        (answer,), {"line/b": Serving(PLAIN, bank, Scorer(bank, BruteSearch(bank.vectors)), InputBaseline())}
    )
    metrics.reporting.moved([mine], [gone])
    metrics.reporting.worked(batch)
    assert metrics.value("patchline_decisions_total", view="line/b", verdict="pass") is None
    assert metrics.value("patchline_threshold", view="line/b") is None
    metrics.reporting.moved([mine, gone], [])
    metrics.reporting.worked(batch)
    assert metrics.value("patchline_decisions_total", view="line/b", verdict="pass") == 0
    assert metrics.value("patchline_threshold", view="line/b") == 2.0


def test_input_faults_are_counted_by_what_they_are(metrics: ReportedMetrics) -> None:
    """Whatever the view's policy decides of them."""
    of = record(0, b"x")
    for policy in ("undecided", "pass"):
        decision = decide(facts(1.0, PLAIN, input_fault=InputFault.FROZEN, input_fault_policy=policy))
        answer = FrameAnswer(Work.of(of), VIEW, decision, 0.0)
        metrics.reporting.committed([answer], [answer.work], 0.01, AT)
    assert metrics.value("patchline_input_faults_total", view="line/cam", reason="frozen") == 2
    assert metrics.value("patchline_undecided_total", view="line/cam", reason="input_fault") == 1


def test_a_view_that_learns_shows_no_threshold(metrics: ReportedMetrics) -> None:
    """A threshold of 0 would be a lie."""
    metrics.reporting.worked(AnswerBatch((decided(record(0, b"x"), learning=True),), {VIEW: NoBank(Reason.LEARNING)}))
    assert metrics.value("patchline_threshold", view=VIEW) is None
