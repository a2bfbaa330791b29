"""What the `dead-letters` commands do: find letters, get their bytes back, send their frames again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from deploy.errors import CommandFailed, UsageError
from ingest.contract import BadMessage, SourceRecord
from ingest.dead_letter import DeadLetter, parse_dead_letter
from ingest.frame import REPLAY_OF, DeadLetterReason
from ingest.kafka.errors import SendFailed
from ingest.kafka.readers import WholeTopicReader, record_at
from ingest.kafka.records import Outgoing, Partition
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings

log = structlog.get_logger(__name__)

READ_SECONDS = 600.0
"""For all dead letters there are: a storm of them may be gigabytes."""
ANSWER_SECONDS = 15.0


@dataclass(frozen=True)
class StoredLetter:
    """A dead letter, and the record of `frames.dead-letter` that it is."""

    place: SourceRecord
    letter: DeadLetter

    @property
    def name(self) -> str:
        """What the commands call it: partition and offset."""
        return f"{self.place.partition}:{self.place.offset}"


@dataclass(frozen=True)
class LetterFilter:
    """Which letters are meant; what is None does not narrow."""

    view: str | None = None
    reason: DeadLetterReason | None = None
    since: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether it means fewer than all."""
        return (self.view, self.reason, self.since) != (None, None, None)

    def means(self, letter: DeadLetter) -> bool:
        """Whether this letter is one of them."""
        return (
            self.view in (None, letter.view)
            and self.reason in (None, letter.reason)
            and (self.since is None or letter.at >= self.since)
        )


@dataclass(frozen=True)
class Replayed:
    """What became of one letter: where its frame now lies, or why it could not be sent."""

    kept: StoredLetter
    frame: SourceRecord | None
    why_not: str | None = None


def reason_from(text: str) -> DeadLetterReason:
    """The reason of that name. Raises UsageError, naming all there are."""
    try:
        return DeadLetterReason(text)
    except ValueError as error:
        raise UsageError(f"--reason {text} is none of {', '.join(DeadLetterReason)}") from error


def place_from(name: str, kafka: KafkaSettings) -> SourceRecord:
    """The record a letter's name means: partition:offset, or topic:partition:offset. Raises UsageError."""
    topic = kafka.topic("frames.dead-letter")
    text = name if name.count(":") > 1 else f"{topic}:{name}"
    try:
        place = SourceRecord.parse(text)
    except ValueError as error:
        raise UsageError(
            f"{name!r} names no dead letter: write partition:offset, as patchline dead-letters list"
        ) from error
    if place.topic != topic:
        raise UsageError(f"{name} is no record of {topic}")
    return place


def find(kafka: KafkaSettings, letters: LetterFilter) -> Iterator[StoredLetter]:
    """The letters there are now, read one by one: their bytes never lie in memory together.

    Raises KafkaFailure.
    """
    topic = kafka.topic("frames.dead-letter")
    with WholeTopicReader.open(kafka, topics=[topic], give_up_seconds=kafka.give_up_seconds) as reader:
        ends = reader.end_offsets()  # a replay may add letters while they are read
        for record in reader.stream_to_end(READ_SECONDS):
            kept = _kept(record) if record.offset < ends[Partition(topic, record.partition)] else None
            if kept is not None and letters.means(kept.letter):
                yield kept


def find_letter(kafka: KafkaSettings, place: SourceRecord) -> StoredLetter:
    """One letter. Raises CommandFailed where there is none, KafkaFailure."""
    record = record_at(kafka, place.topic_partition, place.offset, timeout_seconds=ANSWER_SECONDS)
    kept = _kept(record) if record else None
    if kept is None:
        raise CommandFailed(
            f"there is no dead letter {place}: it expired, or never was; patchline dead-letters list shows them"
        )
    return kept


def content_of(kafka: KafkaSettings, letter: DeadLetter) -> bytes:
    """The bytes as they came; those that did not fit into the letter are read from `frames` while it keeps them.

    Raises:
        CommandFailed: `frames` keeps them no more, or has others there.
        KafkaFailure: it cannot be read.
    """
    if not letter.pointer_only:
        return letter.value or b""
    source = letter.source
    record = record_at(kafka, source.topic_partition, source.offset, timeout_seconds=ANSWER_SECONDS)
    if record is None:
        raise CommandFailed(f"the bytes of {source} have expired in {source.topic}, and did not fit into the letter")
    content = record.value or b""
    if hashlib.sha256(content).hexdigest() != letter.sha256:
        raise CommandFailed(f"{source} holds other bytes than those that were refused: was the topic made anew?")
    return content


def frame_of(kept: StoredLetter, content: bytes, *, topics: Sequence[str]) -> Outgoing:
    """The frame as it first came, to the same partition, with one header more that names what it replays.

    `topics` are those of frames: where its own is none of them any more, the frame goes to the first.
    """
    letter = kept.letter
    headers = tuple((name, data) for name, data in letter.headers if name != REPLAY_OF)
    return Outgoing(
        letter.source.topic if letter.source.topic in topics else topics[0],
        letter.key,
        content,
        (*headers, (REPLAY_OF, str(kept.place).encode())),
        partition=letter.source.partition,
    )


def replay(kafka: KafkaSettings, letters: Iterable[StoredLetter]) -> Iterator[Replayed]:
    """Send the frames of these letters again, each acknowledged before the next. Raises KafkaFailure."""
    topics = kafka.frame_topics
    with KafkaSender.open(kafka, writes=topics, give_up_seconds=kafka.give_up_seconds) as sender:
        for kept in letters:
            try:
                sent = sender.send_and_wait(frame_of(kept, content_of(kafka, kept.letter), topics=topics))
            except (CommandFailed, SendFailed) as error:
                yield Replayed(kept, None, str(error))
            else:
                topic, partition = sent.partition
                yield Replayed(kept, SourceRecord(topic=topic, partition=partition, offset=sent.offset))


def chosen(kafka: KafkaSettings, names: Sequence[str], letters: LetterFilter) -> Iterator[StoredLetter]:
    """The letters of these names; without names, all that the filter means.

    Raises UsageError, CommandFailed, KafkaFailure.
    """
    if not names:
        return find(kafka, letters)
    places = [place_from(name, kafka) for name in names]
    return (kept for kept in (find_letter(kafka, place) for place in places) if letters.means(kept.letter))


def letter_facts(kept: StoredLetter) -> dict[str, object]:
    """The letter for a table or a script; never its bytes."""
    letter = kept.letter
    return {
        "letter": kept.name,
        "at": letter.at.isoformat(),
        "view": letter.view,
        "reason": letter.reason.value,
        "detail": letter.detail,
        "source": str(letter.source),
        "size_bytes": letter.size_bytes,
        "sha256": letter.sha256,
        "pointer_only": letter.pointer_only,
    }


def _kept(record: Record) -> StoredLetter | None:
    """The letter in a record; a record somebody else put into the topic is logged and skipped."""
    place = SourceRecord.of(record)
    try:
        return StoredLetter(place, parse_dead_letter(key=record.key, value=record.value, headers=record.headers))
    except BadMessage as error:
        log.warning("not_a_dead_letter", record=str(place), why=str(error))
        return None
