"""Lost and doubled are counted by input record, before any de-duplication."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deploy.local_stack.outcomes import Balance, FrameOutcome, balance, outcome_of
from ingest.contract import BadMessage
from ingest.dead_letter import dead_letter_of, headers_of
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Record
from ingest.kafka.settings import KafkaSettings
from tests.deploy.runs import decided, source


def outcome(offset: int) -> FrameOutcome:
    """A decision on an input record."""
    return FrameOutcome(decided(0.5, offset=offset), 0.0)


def test_every_record_answered_once_balances() -> None:
    """Nothing lost, nothing twice."""
    assert balance([source(0), source(1)], [outcome(1), outcome(0)]) == Balance(lost=0, doubled=0)


def test_a_record_without_an_answer_is_lost_and_one_with_two_is_doubled() -> None:
    """The same decision twice is twice: readers may drop it, the count may not."""
    assert balance([source(0), source(1)], [outcome(0), outcome(0), outcome(0)]) == Balance(lost=1, doubled=1)


def test_a_decision_and_a_dead_letter_of_one_record_are_two_answers() -> None:
    """Both topics count together."""
    letter = dead_letter_of(
        source=source(0),
        reason=DeadLetterReason.EMPTY,
        detail="",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        key=b"a/b",
        value=b"",
        headers=(),
    )
    assert balance([source(0)], [outcome(0), FrameOutcome(letter, 0.0)]) == Balance(lost=0, doubled=1)


def test_records_of_both_topics_are_read() -> None:
    """A decision is JSON, a dead letter is the frame with headers of ours."""
    kafka = KafkaSettings(topic_prefix="p.")
    decision = decided(0.5, offset=4)
    record = Record("p.decisions", 0, 9, 0, "create_time", b"a/b", decision.to_bytes())
    assert outcome_of(record, kafka, 1.5) == FrameOutcome(decision, 1.5)
    letter = dead_letter_of(
        source=source(5),
        reason=DeadLetterReason.EMPTY,
        detail="",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        key=b"a/b",
        value=b"",
        headers=(),
    )
    record = Record("p.frames.dead-letter", 0, 9, 0, "create_time", b"a/b", b"", headers_of(letter))
    assert outcome_of(record, kafka, 0.0).source == source(5)


def test_a_record_that_is_neither_is_refused() -> None:
    """A foreign record in our topics must not vanish from the count."""
    with pytest.raises(BadMessage):
        outcome_of(Record("decisions", 0, 0, 0, "create_time", None, b"{}"), KafkaSettings(), 0.0)
