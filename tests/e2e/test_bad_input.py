"""Whatever is sent to a running `patchline inspect` becomes a right decision or a dead letter with a right reason."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from ingest.contract import SourceRecord
from ingest.decision import Verdict
from ingest.frame import DeadLetterReason
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.e2e.services import Answers, Services, page, wait_until
from tests.inference.sample_bank import VIEW, encoded, jpeg, picture, sample_bank, state, stored
from tests.ingest.pictures import deep_png, scan_bomb
from tests.softpatch.images.test_decode import CMYK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

MIB = 2**20
GOOD = encoded(picture(0))


@dataclass(frozen=True)
class Sent:
    """One record as a sender makes it, and what must become of it."""

    becomes: Verdict | DeadLetterReason
    value: bytes | None
    key: bytes | None = VIEW.encode()
    headers: tuple[tuple[str, bytes], ...] = ()


def png_of(width: int, height: int) -> bytes:
    """A whole, black PNG of one bit a pixel, made from the specification: 100 megapixels are 12 kB of it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def nearly_ten_mebibytes() -> bytes:
    """A good part as an uncompressed BMP a few kB below the largest message that `frames` takes."""
    data = encoded(cv2.resize(picture(0), (1868, 1868), interpolation=cv2.INTER_AREA), ".bmp")
    assert 9.98 * MIB < len(data) < 10 * MIB
    return data


def with_alpha(image: np.ndarray) -> bytes:
    """A PNG whose fourth channel says that the part is invisible."""
    bgra = np.dstack([image[..., ::-1], np.zeros(image.shape[:2], np.uint8)])
    return cv2.imencode(".png", bgra)[1].tobytes()


def wide(extension: str) -> bytes:
    """A good part in 16 bits a channel."""
    return encoded(picture(0).astype(np.uint16) * 257, extension)


CLAIM = (("uri", b"s3://bucket/frame"), ("sha256", b"0" * 64), ("size", b"9"))
RECORDS: dict[str, Sent] = {
    "good JPEG": Sent(Verdict.PASS, GOOD),
    "defective JPEG": Sent(Verdict.FAIL, jpeg(1, defect=True)),
    "16-bit PNG": Sent(Verdict.PASS, wide(".png")),
    "16-bit TIFF": Sent(Verdict.PASS, wide(".tiff")),
    "PNG with alpha": Sent(Verdict.PASS, with_alpha(picture(0))),
    "CMYK JPEG of something red": Sent(Verdict.FAIL, base64.b64decode(CMYK)),
    "nearly 10 MiB": Sent(Verdict.PASS, nearly_ten_mebibytes()),
    "unknown header": Sent(Verdict.PASS, GOOD, headers=(("operator", b"\xff\x00"),)),
    "nearly 10 MiB, truncated": Sent(DeadLetterReason.TRUNCATED, nearly_ten_mebibytes()[:-MIB]),
    "truncated JPEG": Sent(DeadLetterReason.TRUNCATED, GOOD[: len(GOOD) // 2]),
    "no value": Sent(DeadLetterReason.EMPTY, None),
    "0 bytes": Sent(DeadLetterReason.EMPTY, b""),
    "1 pixel": Sent(DeadLetterReason.TOO_SMALL, encoded(np.zeros((1, 1, 3), np.uint8), ".png")),
    "text": Sent(DeadLetterReason.UNSUPPORTED_FORMAT, b"hello, line"),
    "100 megapixels": Sent(DeadLetterReason.TOO_MANY_PIXELS, png_of(10_000, 10_000)),
    "2,647 scans": Sent(DeadLetterReason.TOO_COSTLY, scan_bomb(side_px=7064, scans=2647)),
    "16 bits of four channels, 49 megapixels": Sent(
        DeadLetterReason.TOO_COSTLY, deep_png(width_px=7000, height_px=7000)
    ),
    "JPEG that lost half and has an end": Sent(DeadLetterReason.CORRUPT, GOOD[: len(GOOD) // 2] + b"\xff\xd9"),
    "no key": Sent(DeadLetterReason.NO_KEY, GOOD, key=None),
    "key that is no text": Sent(DeadLetterReason.BAD_KEY, GOOD, key=b"\xff\xfe"),
    "newer schema": Sent(DeadLetterReason.UNKNOWN_SCHEMA, GOOD, headers=(("patchline-schema", b"2"),)),
    "claim check": Sent(DeadLetterReason.CLAIM_CHECK_NOT_ENABLED, b"", headers=CLAIM),
    "sequence below 0": Sent(Verdict.PASS, GOOD, headers=(("sequence", b"-1"),)),
    "time without offset": Sent(Verdict.PASS, GOOD, headers=(("captured-at", b"2026-03-01T12:00:00"),)),
    "serial of a megabyte": Sent(Verdict.PASS, GOOD, headers=(("part-serial", b"x" * 1_100_000),)),
    "foreign headers of 5 MiB beside text": Sent(
        DeadLetterReason.UNSUPPORTED_FORMAT, b"text", headers=(("note", b"x" * 5 * MIB),)
    ),
    "address of the sender's own": Sent(Verdict.PASS, GOOD, headers=(("uri", b"opc.tcp://plc-7/cell"),)),
    "empty product": Sent(Verdict.PASS, GOOD, headers=(("product", b""),)),
    "product that is no text": Sent(DeadLetterReason.BAD_HEADER, GOOD, headers=(("product", b"\xff"),)),
    "good JPEG at the end": Sent(Verdict.PASS, GOOD),
}


@pytest.fixture
def services(kafka_broker: KafkaBroker, tmp_path: Path) -> Iterator[Services]:
    """Services with topics and a bank of good plates in force; no dead-letter rate is too high for it."""
    kafka = kafka_broker.settings(partitions=1)
    views = {"*": {"deadline_seconds": 600, "dead_letter_cap_ratio": 0.999}}
    with Services(tmp_path, kafka, over={"views": views}) as made:
        made.run("topics", "create")
        bank = sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))
        in_force = stored(FsspecStore.open(made.store), bank).in_force
        with KafkaSender.open(kafka) as sender:
            sender.send_and_wait(Outgoing(kafka.topic("banks"), VIEW.encode(), state(in_force).to_bytes()), 30)
        yield made


def send(kafka: KafkaSettings, records: Mapping[str, Sent]) -> dict[SourceRecord, str]:
    """Send records; returns the name of each by where it lies."""
    topic = kafka.topic("frames")
    with KafkaSender.open(kafka, writes=(topic,)) as sender:
        pending = {
            name: sender.send(Outgoing(topic, each.key, each.value, each.headers)) for name, each in records.items()
        }
        lying = {name: each.wait(60) for name, each in pending.items()}
    return {
        SourceRecord(topic=topic, partition=at.partition.partition, offset=at.offset): name
        for name, at in lying.items()
    }


def test_each_record_becomes_what_it_must_and_the_service_stays_ready(services: Services) -> None:
    """One process meets them all, is asked for its health meanwhile, and ends well; no dead letter lost a byte."""
    inspect = services.start("inspect")
    services.until_ready(inspect)
    names = send(services.kafka, RECORDS)
    with Answers(services.kafka) as answers:

        def answered() -> bool:
            assert page(services.inspect_port, "/readyz") is not None, inspect.logged
            return answers.read() >= len(RECORDS)

        wait_until(answered, "an answer to every record")
    assert services.metric(inspect, "patchline_dead_letters_total") == len(answers.dead_letters)
    assert inspect.stop() == 0
    assert "Traceback" not in inspect.logged
    became = {names[each.source]: each.verdict for each in answers.decisions}
    became |= {names[each.source]: each.reason for each in answers.dead_letters}
    assert became == {name: each.becomes for name, each in RECORDS.items()}
    assert len(answers.decisions) + len(answers.dead_letters) == len(RECORDS)
    (red,) = (each for each in answers.decisions if names[each.source] == "CMYK JPEG of something red")
    assert red.image is not None
    assert red.image.brightness == pytest.approx(0.299 * 200 + 0.587 * 60 + 0.114 * 20, abs=3)
    for letter in answers.dead_letters:
        sent = RECORDS[names[letter.source]]
        assert (letter.key, letter.value or b"", letter.headers) == (sent.key, sent.value or b"", sent.headers)
        assert letter.sha256 == hashlib.sha256(sent.value or b"").hexdigest()
