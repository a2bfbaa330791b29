"""The whole pipeline on a real Apache Kafka: its services are processes, and one of them is killed in the middle."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event
from typing import TYPE_CHECKING

import pytest
from scipy.stats import mannwhitneyu

from deploy.local_stack.outcomes import end_offsets
from deploy.local_stack.sending import send_all
from ingest.bank_event import BankEvent, BankEventKind
from ingest.cameras.simulator import Simulator
from ingest.cameras.source import GOOD
from ingest.contract import SourceRecord
from ingest.decision import Reason, Verdict
from ingest.frame import DeadLetterReason
from ingest.kafka.readers import WholeTopicReader
from tests.e2e.services import Answers, Services, wait_until

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from deploy.local_stack.sending import SentFrame
    from ingest.cameras.parts import Variant
    from ingest.cameras.source import CameraFrame
    from ingest.decision import Decision
    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

FRAMES_PER_SECOND = 10.0
VIEWS: dict[str, Variant] = {"line-1/top": "ring", "line-2/top": "gear"}
ROTTEN, ROTTEN_EVERY = "rotten", 15
"""The label of a frame that is cut in half on its way, and of how many frames one is."""
SETTINGS = {
    "views": {
        "*": {
            "first_build_frames": 24,
            "window_frames": 60,
            "rebuild_every_frames": 30,
            "deadline_seconds": 600,  # a busy machine must not turn verdicts into `undecided`
            "build": {
                "geometry": {"mode": "squash", "height_px": 128, "width_px": 128},
                "coreset_cap": 600,
                "detection_plants": 0,
            },
        }
    }
}


def unfiltered(variant: Variant, stop: Event) -> Iterator[CameraFrame]:
    """What a camera sees until it is stopped: one part in five plainly defective, now and then a rotten frame."""
    simulator = Simulator(
        variant,
        seed=3,
        clock=lambda: datetime.now(UTC),
        defect_ratio=0.2,
        severity_range=(0.8, 1.0),
        size_px=256,
    )
    for number, frame in enumerate(simulator):
        if stop.is_set():
            return
        if number % ROTTEN_EVERY == ROTTEN_EVERY - 1:
            yield replace(frame, encoded=frame.encoded[: len(frame.encoded) // 2], label=ROTTEN)
        else:
            yield frame


def versions_of(decisions: Sequence[Decision], view: str) -> list[str]:
    """The banks that decided a view, in the order they first did."""
    return list(dict.fromkeys(each.bank.version for each in decisions if each.view == view and each.bank))


def see_banks(answers: Answers, *, at_least: int, after: datetime) -> None:
    """Read answers until so many banks have decided every view, by decisions made after a moment."""

    def seen() -> bool:
        answers.read()
        late = [each for each in answers.decisions if each.decided_at > after]
        return all(len(versions_of(late, view)) >= at_least for view in VIEWS)

    wait_until(seen, f"decisions of {at_least} banks for every view")


def area_under_curve(decisions: Collection[Decision], labels: Mapping[SourceRecord, str | None]) -> float:
    """Chance that a defective part has a larger score_ratio than a good one: Mann and Whitney's U over all pairs."""
    good = [each.score_ratio for each in decisions if labels[each.source] == GOOD]
    defective = [each.score_ratio for each in decisions if labels[each.source] != GOOD]
    return float(mannwhitneyu(defective, good).statistic) / (len(good) * len(defective))


def promoted(kafka: KafkaSettings) -> Counter[tuple[str, str | None]]:
    """View and bank of every promotion that the trainer committed."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic("bank-events")]) as reader:
        events = [BankEvent.from_bytes(each.value or b"") for each in reader.read_to_end(60)]
    return Counter((each.view, each.bank_version) for each in events if each.kind is BankEventKind.PROMOTED)


@pytest.fixture
def services(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Services]:
    """Topics that exist, and no service running."""
    with Services(tmp_path, kafka_broker.settings(partitions=2), over=SETTINGS) as made:
        made.run("topics", "create")
        yield made


def test_every_frame_is_answered_once_while_banks_change_and_inference_is_killed(services: Services) -> None:
    """Two views learn, relearn and are decided by one bank after another; kill -9 loses and doubles nothing."""
    begun, stop, train, inspect = datetime.now(UTC), Event(), services.start("train"), services.start("inspect")
    for service in (train, inspect):
        services.until_ready(service)
    with Answers(services.kafka) as answers, ThreadPoolExecutor(len(VIEWS), "camera") as cameras:
        sending = [
            cameras.submit(send_all, services.kafka, view, unfiltered(variant, stop), rate_per_second=FRAMES_PER_SECOND)
            for view, variant in VIEWS.items()
        ]
        try:
            see_banks(answers, at_least=1, after=begun)
            inspect.kill()
            killed_at, inspect = datetime.now(UTC), services.start("inspect")
            services.until_ready(inspect)
            see_banks(answers, at_least=2, after=killed_at)  # swapped in one process, while frames flow
        finally:
            stop.set()
        sent = [frame for each in sending for frame in each.result()]
        wait_until(lambda: answers.read() >= len(sent), "an answer to every frame")
    by_this_process = sum(each.decided_at > killed_at for each in answers.decisions)
    wait_until(lambda: services.metric(inspect, "patchline_decisions_total") == by_this_process, "all in the metrics")
    assert services.metric(train, "patchline_builds_total") >= 2 * len(VIEWS)
    assert (inspect.stop(), train.stop()) == (0, 0)
    assert "Traceback" not in inspect.logged + train.logged
    with Answers(services.kafka) as everything:
        assert_all_is_well(services.kafka, everything.read_to_end(), sent)


def assert_all_is_well(kafka: KafkaSettings, answers: Answers, sent: Sequence[SentFrame]) -> None:
    """What a reader who comes afterwards finds."""
    assert_each_record_has_one_answer(kafka, answers, sent)
    assert_verdicts_are_right(answers, sent)
    assert_banks_came_in_order(answers.decisions, promoted(kafka))


def assert_each_record_has_one_answer(kafka: KafkaSettings, answers: Answers, sent: Sequence[SentFrame]) -> None:
    """One decision or dead letter per offset of `frames`, the rotten ones and only they being dead letters."""
    offsets = [
        SourceRecord(topic=topic, partition=partition, offset=offset)
        for (topic, partition), end in end_offsets(kafka).items()
        for offset in range(end)
    ]
    assert {each.source for each in sent} == set(offsets)
    assert {each.partition for each in offsets} == {0, 1}  # the two views are on different ones
    assert answers.by_source() == Counter(offsets)
    assert {each.source for each in answers.dead_letters} == {
        each.source for each in sent if each.frame.label == ROTTEN
    }
    assert {each.reason for each in answers.dead_letters} == {DeadLetterReason.TRUNCATED}


def assert_verdicts_are_right(answers: Answers, sent: Sequence[SentFrame]) -> None:
    """Undecided only while learning; afterwards defective parts score above good ones, far better than by chance."""
    labels = {each.source: each.frame.label for each in sent}
    for view in VIEWS:
        of_view = [each for each in answers.decisions if each.view == view]
        scored = [each for each in of_view if each.bank]
        assert {each.reason for each in of_view if not each.bank} == {Reason.LEARNING}
        assert {each.verdict for each in scored} == {Verdict.PASS, Verdict.FAIL}
        assert area_under_curve(scored, labels) > 0.8


def assert_banks_came_in_order(decisions: Sequence[Decision], promotions: Counter[tuple[str, str | None]]) -> None:
    """Each view's epochs only rise with the offset, and every bank that decided was promoted once by the trainer."""
    for view in VIEWS:
        in_order = sorted((each for each in decisions if each.view == view), key=lambda each: each.source.offset)
        epochs = [each.bank.epoch for each in in_order if each.bank]
        assert epochs == sorted(epochs)
        versions = versions_of(in_order, view)
        assert len(versions) >= 2
        assert {promotions[view, version] for version in versions} == {1}
