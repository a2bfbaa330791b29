"""`patchline threshold` and `decisions` on a real Apache Kafka: what was recorded, judged again, and put in force."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import pytest

from ingest.bank_event import BankEvent, BankEventKind
from ingest.contract import SourceRecord
from ingest.decision import Decision, Verdict
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.e2e.services import Answers, Services, run, wait_until
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

VIEW = "line-1/top"
FRAMES = 60
SETTINGS = {
    "views": {
        "*": {
            "first_build_frames": 24,
            "window_frames": 24,  # full at once: it does not build again when its frames have doubled
            "window_span_frames": 24,
            "rebuild_every_frames": 10_000,
            "provisional_interval_ratio": 1000,  # one bank decides the whole test
            "deadline_seconds": 600,
            "build": {
                "geometry": {"mode": "squash", "height_px": 64, "width_px": 64},
                "coreset_cap": 200,
                "detection_plants": 0,
            },
        }
    }
}


def send(services: Services, *frames: bytes) -> list[SourceRecord]:
    """Send frames of the view, in order; returns where they lie."""
    topic = services.kafka.topic("frames")
    with KafkaSender.open(services.kafka, writes=(topic,)) as sender:
        pending = [sender.send(Outgoing(topic, VIEW.encode(), each)) for each in frames]
        landed = [each.wait(60) for each in pending]
    return [SourceRecord(topic=topic, partition=at.partition.partition, offset=at.offset) for at in landed]


def decided(services: Services) -> list[Decision]:
    """A line that has learnt and decided frames, some of them plainly defective; its decisions by a bank."""
    for name in ("train", "inspect"):
        services.until_ready(services.start(name))
    with Answers(services.kafka) as answers:
        sent = send(services, *(jpeg(seed) for seed in range(24)))

        def has_a_bank() -> bool:
            sent.extend(send(services, jpeg(1000 + len(sent))))
            answers.read()
            return any(each.bank for each in answers.decisions)

        wait_until(has_a_bank, "a decision by the first bank")
        sent += send(services, *(jpeg(2000 + n, defect=n % 6 == 0) for n in range(FRAMES)))
        wait_until(lambda: answers.read() >= len(sent), "an answer to every frame")
    return [each for each in answers.decisions if each.bank]


def asked(services: Services, *options: str) -> dict[str, Any]:
    """What `patchline threshold` reports."""
    out = services.folder / "report.json"
    services.run("threshold", VIEW, *options, "--json", str(out))
    document: dict[str, Any] = json.loads(out.read_text())
    return document


def test_another_threshold_is_tried_on_what_was_recorded_and_then_put_in_force(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    """Counts equal those of the recorded scores; the sheet is drawn; the event says who, when and why; `--band` too."""
    with Services(tmp_path, kafka_broker.settings(partitions=2), over=SETTINGS) as services:
        services.run("topics", "create")
        scores = [each.score or 0.0 for each in decided(services)]
        there_was = asked(services)
        fails = there_was["whole"]["was"]["fail"]
        assert there_was["whole"]["would_be"] == there_was["whole"]["was"]
        assert there_was["changes"] == []
        wanted = sorted(scores)[len(scores) // 2]
        tried = asked(services, "--threshold", str(wanted), "--out", str(tmp_path / "changed"))
        assert tried["whole"]["would_be"]["fail"] == sum(score > wanted for score in scores) > fails
        assert sum(each["frames"] for each in tried["shifts"]) == tried["whole"]["frames"] >= len(scores)
        assert tried["threshold"] == there_was["threshold"]
        sheet = cv2.imread(str(tmp_path / "changed" / "changed-verdicts.png"))
        assert sheet is not None
        assert sheet.shape[1] == 1800
        cheap = [asked(services, "--cost-reject", "1", "--cost-escape", escape) for escape in ("1", "1000")]
        ratios = [each["requested"]["false_reject_ratio"] for each in cheap]
        assert 0 < ratios[0] < ratios[1] < 0.5
        assert_applied(services, there_was["threshold"])
        assert_refused_and_shown(services)


def assert_applied(services: Services, before: float) -> None:
    """A share of false rejects becomes the threshold in force, with a band; its event carries them."""
    done = asked(services, "--false-reject", "0.2", "--band", "0.9", "1.2", "--apply", "--why", "too few rejects")
    with WholeTopicReader.open(services.kafka, topics=[services.kafka.topic("bank-events")]) as reader:
        events = [BankEvent.from_bytes(each.value or b"") for each in reader.read_to_end(60)]
    (event,) = (each for each in events if each.kind is BankEventKind.THRESHOLD_CHANGED)
    assert (event.why, event.view) == ("too few rejects", VIEW)
    assert event.who
    assert event.facts["threshold_before"] == before
    assert event.facts["false_reject_ratio"] == 0.2
    threshold = event.facts["threshold"]
    assert threshold == pytest.approx(done["requested"]["threshold"])
    assert event.facts["low_limit"] == pytest.approx(0.9 * float(threshold))
    assert event.facts["high_limit"] == pytest.approx(1.2 * float(threshold))
    assert done["applied"]["command_id"] == event.command_id
    assert asked(services)["threshold"] == threshold


def assert_refused_and_shown(services: Services) -> None:
    """A ratio that is none is wrong use; `decisions` shows what was recorded; `bank list` the threshold in force."""
    settings = str(services.settings_file())
    wrong = run("threshold", VIEW, "--false-reject", "2", "--settings", settings, folder=services.folder)
    assert (wrong.returncode, "must lie between 0 and 0.5" in wrong.stderr) == (2, True)
    out = services.folder / "decisions.json"
    services.run("decisions", VIEW, "--verdict", "fail", "--last", "3", "--json", str(out))
    shown = [Decision.model_validate(each) for each in json.loads(out.read_text())["decisions"]]
    assert [each.verdict for each in shown] == [Verdict.FAIL] * 3
    listed = services.run("bank", "list").stdout
    assert "active" in listed
    assert f"{asked(services)['threshold']:.4g}" in listed
