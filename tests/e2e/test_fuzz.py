"""Frames and headers mutated at random: as many answers as records, on a real broker, and every service goes on.

`make fuzz` sends 10,000 (PATCHLINE_TEST_FUZZ_RECORDS); a seed of one's own is PATCHLINE_TEST_FUZZ_SEED.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import hypothesis
import pytest
from hypothesis import strategies as st

from ingest.contract import SourceRecord
from ingest.frame import OPTIONAL_HEADERS
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.e2e.services import Answers, Services, page, wait_until
from tests.inference.sample_bank import VIEW, encoded, picture, sample_bank, state, stored

if TYPE_CHECKING:
    from pathlib import Path

    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

RECORDS = int(os.environ.get("PATCHLINE_TEST_FUZZ_RECORDS", "300"))
SEED = int(os.environ.get("PATCHLINE_TEST_FUZZ_SEED", "17"))
AT_ONCE = 20
QUIET_SECONDS = 120.0
"""Without an answer: one is missing."""
PICTURES = [encoded(picture(number), kind) for number in range(3) for kind in (".jpg", ".png", ".bmp", ".tiff")]
Headers = tuple[tuple[str, bytes], ...]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A picture with some of its bytes changed, most of them near its head, taken out, repeated, or its end missing."""
    data = bytearray(draw(st.sampled_from(PICTURES)))
    near_head = st.integers(0, min(len(data), 700) - 1)
    for at in draw(st.lists(near_head | st.integers(0, len(data) - 1), max_size=6)):
        data[at] = draw(st.integers(0, 255))
    begin = draw(near_head)
    end = begin + draw(st.integers(0, 64))
    change = draw(st.sampled_from(["as it is", "cut", "taken out", "repeated", "inserted"]))
    if change == "cut":
        return bytes(data[: draw(st.integers(0, len(data)))])
    if change == "taken out":
        return bytes(data[:begin] + data[end:])
    if change == "repeated":
        return bytes(data[:end] + data[begin:])
    if change == "inserted":
        return bytes(data[:begin] + draw(st.binary(max_size=64)) + data[begin:])
    return bytes(data)


NAMES = (*OPTIONAL_HEADERS, "product", "uri", "sha256", "size")
TEXTS = ["", "1", "-1", "1.5", "2026-11-28T14:00:00Z", "2026-11-28", "file:///etc/passwd", "frames:0:1", "M8", "a/b@c"]
UNICODE = st.characters(exclude_categories=["Cs"])
CONTENT = (st.sampled_from(TEXTS) | st.text(UNICODE, max_size=40)).map(str.encode)
HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES) | st.text(UNICODE, max_size=8), CONTENT | st.binary()),
    max_size=5,
).map(tuple)
KEYS = st.sampled_from([VIEW.encode(), b"line-2/camera-1", b"line-2/camera-2"]) | st.none() | st.binary(max_size=24)
VALUES = mutated() | mutated() | st.none() | st.binary(max_size=200)
OUTGOING = st.tuples(KEYS, VALUES, HEADERS)


def send_mutated(kafka: KafkaSender, topic: str) -> list[SourceRecord]:
    """Send `RECORDS` of them; returns where they lie."""
    lie: list[SourceRecord] = []

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=-(-RECORDS // AT_ONCE),
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.lists(OUTGOING, min_size=AT_ONCE, max_size=AT_ONCE))
    def send(records: list[tuple[bytes | None, bytes | None, Headers]]) -> None:
        left = records[: RECORDS - len(lie)]
        pending = [kafka.send(Outgoing(topic, *each)) for each in left]
        for each in pending:
            at = each.wait(60)
            lie.append(SourceRecord(topic=topic, partition=at.partition.partition, offset=at.offset))

    while len(lie) < RECORDS:
        send()
    return lie


def test_every_record_has_one_answer_whatever_is_in_it(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """One decision or one dead letter each; inspection and trainer stay, both come to the end of the topic."""
    kafka = kafka_broker.settings(partitions=2)
    views = {"*": {"first_build_frames": 9999, "window_frames": 9999, "window_span_frames": 9999}}
    with Services(tmp_path, kafka, over={"views": views}) as services:
        services.run("topics", "create")
        bank = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))
        in_force = stored(FsspecStore.open(services.store), bank).in_force
        with KafkaSender.open(kafka) as sender:
            sender.send_and_wait(Outgoing(kafka.topic("banks"), VIEW.encode(), state(in_force).to_bytes()), 30)
        inspect, train = services.start("inspect"), services.start("train")
        services.until_ready(inspect)
        services.until_ready(train)
        with KafkaSender.open(kafka, writes=(kafka.topic("frames"),)) as sender:
            sent = send_mutated(sender, kafka.topic("frames"))
        with Answers(kafka) as answers:
            found, came_at = 0, time.monotonic()
            while found < len(sent):
                assert page(services.inspect_port, "/healthz") is not None, inspect.logged[-4000:]
                before, found = found, answers.read()
                came_at = time.monotonic() if found > before else came_at
                assert time.monotonic() < came_at + QUIET_SECONDS, set(sent) - set(answers.by_source())
        wait_until(
            lambda: services.metric(train, "patchline_kafka_records_polled_total") >= len(sent), "the trainer's end"
        )
        assert services.metric(train, "patchline_trainer_records_set_aside_total") == 0, train.logged[-4000:]
        assert (inspect.stop(), train.stop()) == (0, 0)
    with Answers(kafka) as answers:
        assert answers.read_to_end().by_source() == dict.fromkeys(sent, 1)
        assert answers.decisions
        assert answers.dead_letters
