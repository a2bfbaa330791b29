"""What the Kafka tests share: a numbered stream in, and what a read_committed reader sees of the answers."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from ingest.kafka.errors import Aborted
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Record, Work
from ingest.kafka.topics import create_topics
from ingest.kafka.transactions import TransactionLoop
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ingest.kafka.ownership import Ownership
    from ingest.kafka.settings import KafkaSettings

Source = tuple[int, int]
"""Partition and offset of an input record."""


def topics_made(settings: KafkaSettings) -> KafkaSettings:
    """The same settings, once all topics exist."""
    create_topics(settings, give_up_seconds=30)
    return settings


def send_numbered(settings: KafkaSettings, numbers: Iterable[int], *, cameras: int = 12) -> set[Source]:
    """Send small frames of several cameras; returns where they lie."""
    topic = settings.topic("frames")
    with KafkaSender.open(settings, writes=(topic,)) as sender:
        pending = [
            sender.send(Outgoing(topic, f"line/cam-{n % cameras}".encode(), str(n).encode() * 50)) for n in numbers
        ]
        sender.flush(30)
        sent = [each.wait(0) for each in pending]
    return {(each.partition.partition, each.offset) for each in sent}


def answer(settings: KafkaSettings, record: Record) -> Work:
    """The work that answers one record: a decision that names its source."""
    source = f"{record.partition},{record.offset}".encode()
    return Work.of(record, (Outgoing(settings.topic("decisions"), record.key, source),))


def answered(settings: KafkaSettings) -> Counter[Source]:
    """How often each input record was answered, as a read_committed reader sees it now."""
    with WholeTopicReader.open(settings, topics=[settings.topic("decisions")]) as reader:
        values = [record.value or b"" for record in reader.read_to_end(30)]
    pairs = (value.decode().split(",") for value in values)
    return Counter((int(partition), int(offset)) for partition, offset in pairs)


def once(sources: Iterable[Source]) -> Counter[Source]:
    """Every source exactly once."""
    return Counter(dict.fromkeys(sources, 1))


def open_loop(settings: KafkaSettings, *, ownership: Ownership | None = None) -> TransactionLoop:
    """A member of the inference group."""
    return TransactionLoop.open(
        settings,
        group_id=settings.group(settings.inference_group),
        reads=[settings.topic("frames")],
        writes=[settings.topic("decisions")],
        ownership=ownership,
    )


def wait_until(condition: Callable[[], bool], *, seconds: float, doing: Callable[[], object] = lambda: None) -> None:
    """Do something again and again until a condition holds. Raises TimeoutError."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"not so after {seconds} s")
        doing()


def polled(loop: TransactionLoop, count: int, *, seconds: float = 30) -> list[Record]:
    """The next `count` records."""
    records: list[Record] = []
    wait_until(
        lambda: len(records) >= count,
        seconds=seconds,
        doing=lambda: records.extend(loop.poll(0.2, room=count - len(records))),
    )
    return records


def answer_all(settings: KafkaSettings, loop: TransactionLoop, count: int, *, seconds: float = 60) -> None:
    """Poll and commit until `count` works were committed by this loop, whatever aborts in between."""
    done = 0
    ends = time.monotonic() + seconds
    while done < count:
        if time.monotonic() > ends:
            raise TimeoutError(f"{done} of {count} answered after {seconds} s")
        try:
            done += len(loop.commit([answer(settings, record) for record in loop.poll(0.2)]).done)
        except Aborted:
            continue
