"""Dead letters on a real Apache Kafka: found, looked into, sent again, decided."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingest.contract import SourceRecord
from ingest.dead_letter import dead_letter_of, headers_of
from ingest.decision import Reason
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.e2e.services import Answers, Services, run, wait_until
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

GOOD, HALF = jpeg(0), jpeg(1)[:400]


@pytest.fixture
def services(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Services]:
    """Topics that exist, and no service running."""
    with Services(tmp_path, kafka_broker.settings(partitions=2)) as made:
        made.run("topics", "create")
        yield made


def send(kafka: KafkaSettings, *records: Outgoing) -> list[SourceRecord]:
    """Send records in order; returns where they lie."""
    with KafkaSender.open(kafka) as sender:
        sent = [sender.send_and_wait(each, 30) for each in records]
    return [SourceRecord(topic=s.partition.topic, partition=s.partition.partition, offset=s.offset) for s in sent]


def too_large_to_keep(kafka: KafkaSettings, source: SourceRecord, key: bytes, content: bytes) -> Outgoing:
    """The letter of a record whose bytes would not have fitted: a pointer and a hash."""
    letter = dead_letter_of(
        source=source,
        reason=DeadLetterReason.TOO_MANY_PIXELS,
        detail="too large",
        at=datetime.now(UTC),
        key=key,
        value=content,
        headers=(("frame-id", b"large-1"),),
    )
    return Outgoing(kafka.topic("frames.dead-letter"), key, None, headers_of(letter), partition=source.partition)


def json_of(services: Services, *arguments: str) -> dict[str, Any]:
    """What a `dead-letters` command writes for scripts."""
    file = services.folder / "said.json"
    services.run("dead-letters", *arguments, "--json", str(file))
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_letters_are_listed_shown_and_replayed_into_decisions(services: Services) -> None:
    """The good frame behind a pointer is decided, the half one is a dead letter again; both name what they replay."""
    kafka, inspect = services.kafka, services.start("inspect")
    services.until_ready(inspect)
    headers = (("frame-id", b"half-1"), ("product", b"gear"))
    half, large = send(
        kafka,
        Outgoing(kafka.topic("frames"), b"line/a", HALF, headers),
        Outgoing(kafka.topic("frames"), b"line/b", GOOD, (("frame-id", b"large-1"),)),
    )
    (pointer,) = send(kafka, too_large_to_keep(kafka, large, b"line/b", GOOD))
    with Answers(kafka) as answers:
        wait_until(lambda: answers.read() >= 3, "an answer to both frames, and the pointer")
        listed = json_of(services, "list")["dead_letters"]
        assert {(each["view"], each["reason"], each["source"], each["pointer_only"]) for each in listed} == {
            ("line/a@gear", "truncated", str(half), False),
            ("line/b", "too_many_pixels", str(large), True),
        }
        assert [each["view"] for each in json_of(services, "list", "--reason", "truncated")["dead_letters"]] == [
            "line/a@gear"
        ]
        assert json_of(services, "list", "--view", "line/a")["dead_letters"] == []
        name = f"{pointer.partition}:{pointer.offset}"
        shown = json_of(services, "show", name, "--out", str(services.folder / "image.jpg"))
        assert (shown["key"], shown["headers"]) == ("line/b", {"frame-id": "large-1"})
        assert (services.folder / "image.jpg").read_bytes() == GOOD
        assert len(json_of(services, "replay", "--since", "1h")["replayed"]) == 2
        wait_until(lambda: answers.read() >= 5, "an answer to both replays")
    assert inspect.stop() == 0
    (decision,) = [each for each in answers.decisions if each.replay_of is not None]
    assert (decision.replay_of, decision.frame_id, decision.reason) == (pointer, "large-1", Reason.LEARNING)
    again = [each for each in answers.dead_letters if each.source.offset > half.offset and each.key == b"line/a"]
    assert [(each.value, each.headers[:-1]) for each in again] == [(HALF, headers)]


def test_what_cannot_be_replayed_is_said_and_fails(services: Services) -> None:
    """Bytes that expired, a letter that never was, and a replay of everything without --all."""
    kafka = services.kafka
    gone = SourceRecord(topic=kafka.topic("frames"), partition=0, offset=5)
    (pointer,) = send(kafka, too_large_to_keep(kafka, gone, b"line/b", GOOD))
    settings = ("--settings", str(services.settings_file()))
    expired = run("dead-letters", "replay", "--all", *settings, folder=services.folder)
    assert expired.returncode == 1
    assert f"the bytes of {gone} have expired" in expired.stdout
    assert "1 of 1 frames could not be sent again" in expired.stderr
    missing = run("dead-letters", "show", "0:99", *settings, folder=services.folder)
    assert (missing.returncode, missing.stderr.count("there is no dead letter")) == (1, 1)
    assert run("dead-letters", "replay", *settings, folder=services.folder).returncode == 2
    assert pointer.partition == 0
