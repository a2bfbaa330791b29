"""A new line on a real Apache Kafka: its first verdicts, and what a camera that shows nothing does to both services."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from deploy.local_stack.sending import send_all
from ingest.bank_state import BankState, ViewState
from ingest.cameras.faults import black, from_frame, frozen, gain
from ingest.cameras.simulator import Simulator
from ingest.decision import Reason, Verdict
from ingest.kafka.readers import WholeTopicReader
from softpatch.images.input_faults import InputFault
from tests.e2e.services import Answers, Services, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.cameras.source import CameraFrame
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker
    from tests.e2e.services import Service

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

VIEW = "line-1/top"
FIRST = 30
"""Frames before the first bank, by default."""
QUIET = {
    "first_build_frames": 24,
    "window_frames": 24,  # full at once: it does not build again when its frames have doubled
    "window_span_frames": 24,
    "rebuild_every_frames": 10_000,
    "deadline_seconds": 600,  # a busy machine must not turn verdicts into `undecided`
    "provisional_interval_ratio": 1000,  # one bank decides the whole test
    "build": {
        "geometry": {"mode": "squash", "height_px": 128, "width_px": 128},
        "coreset_cap": 600,
        "detection_plants": 0,
    },
}
BLACK, BURNT, STILL = 4, 3, 13
"""Faulty frames of each kind; of a freeze, the frames after the one that is repeated."""


def parts(*, size_px: int = 512) -> Iterator[CameraFrame]:
    """A running line, now and then a defective part."""
    return iter(Simulator("ring", seed=11, clock=lambda: datetime.now(UTC), defect_ratio=0.1, size_px=size_px))


def started(services: Services) -> tuple[Service, Service]:
    """Trainer and inspection, ready."""
    train, inspect = services.start("train"), services.start("inspect")
    for service in (train, inspect):
        services.until_ready(service)
    return train, inspect


def bank_states(kafka: KafkaSettings) -> list[BankState]:
    """All that were committed."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic("banks")]) as reader:
        return [BankState.from_bytes(each.value or b"") for each in reader.read_to_end(60)]


def scored(answers: Answers) -> bool:
    """Whether a bank has decided yet."""
    answers.read()
    return any(each.bank for each in answers.decisions)


def test_a_new_line_gets_provisional_verdicts_without_any_setting(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """Thirty frames, a bank, and the next frames are decided by it; where it is provisional, the state says why."""
    with Services(tmp_path, kafka_broker.settings(partitions=1)) as services:
        services.run("topics", "create")
        started(services)
        frames = parts()
        with Answers(services.kafka) as answers:
            send_all(services.kafka, VIEW, islice(frames, FIRST), rate_per_second=None)

            def decided_by_a_bank() -> bool:
                send_all(services.kafka, VIEW, islice(frames, 1), rate_per_second=None)
                return scored(answers)

            wait_until(decided_by_a_bank, "a decision by the first bank")
        learning = [each for each in answers.decisions if each.bank is None]
        decided = [each for each in answers.decisions if each.bank]
        assert {each.reason for each in learning} == {Reason.LEARNING}
        assert len(learning) >= FIRST
        assert {each.reason for each in decided} <= {None, Reason.DEADLINE}
        state = bank_states(services.kafka)[-1]
        assert {each.provisional for each in decided} == {state.state is ViewState.PROVISIONAL}
        assert (state.provisional_because is not None) is (state.state is ViewState.PROVISIONAL)


def test_frames_that_show_nothing_are_undecided_counted_and_not_learnt(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    """Black, burnt out, frozen: named in decisions and metrics of both services, and none of them in the window."""
    with Services(tmp_path, kafka_broker.settings(partitions=1), over={"views": {VIEW: QUIET}}) as services:
        services.run("topics", "create")
        train, inspect = started(services)
        frames = parts(size_px=256)
        with Answers(services.kafka) as answers:
            first = send_all(services.kafka, VIEW, islice(frames, 24), rate_per_second=None)

            def decided_by_a_bank() -> bool:
                first.extend(send_all(services.kafka, VIEW, islice(frames, 1), rate_per_second=None))
                return scored(answers)

            wait_until(decided_by_a_bank, "a decision by the first bank")
            faulty = send_all(services.kafka, VIEW, breaking(islice(frames, 40)), rate_per_second=None)
            wait_until(lambda: answers.read() >= len(first) + len(faulty), "an answer to every frame")
            wait_until(
                lambda: services.metric(train, "patchline_kafka_records_polled_total") >= len(first) + len(faulty),
                "the trainer reading every frame",
            )
        said = {each.source: each for each in answers.decisions}
        in_order = [said[each.source] for each in faulty]
        expected = (
            [InputFault.BLACK] * BLACK
            + [InputFault.OVEREXPOSED] * BURNT
            + [None] * 9
            + [InputFault.FROZEN] * (STILL + 1 - 9)
        )
        assert [each.input_fault for each in in_order] == expected + [None] * (40 - len(expected))
        for each in in_order:
            assert (each.reason is Reason.INPUT_FAULT) == (each.input_fault is not None)
            assert (each.verdict is Verdict.UNDECIDED) == (each.input_fault is not None)
        assert services.metric(inspect, "patchline_input_faults_total") == BLACK + BURNT + STILL + 1 - 9
        assert_skipped(services, train)


def breaking(frames: Iterator[CameraFrame]) -> Iterator[CameraFrame]:
    """Black, burnt out, then one picture over and over, then parts again."""
    dark = from_frame(black, frames, first=0, count=BLACK)
    burnt = from_frame(partial(gain, factor=20.0), dark, first=BLACK, count=BURNT)
    return frozen(burnt, first=BLACK + BURNT, count=STILL)


def assert_skipped(services: Services, train: Service) -> None:
    """What the trainer left out, by reason: bit-identical repeats are duplicates until they are too many."""
    skipped = {
        reason: services.labelled(train, "patchline_trainer_frames_skipped_total", view=VIEW, reason=reason)
        for reason in ("black", "overexposed", "duplicate", "frozen")
    }
    assert skipped == {"black": BLACK, "overexposed": BURNT, "duplicate": 8, "frozen": STILL - 8}
