"""A copy of what cannot be made again: the topics that are kept for ever, and the store.

    backup.json                    written last: a copy without it is not whole
    topics/<topic>/<number>.jsonl  records as they were, keys and values in base64, by our names of the topics
    store/<path>                   every file of the store

The topics come first: a bank's file is in the store before the state that names it is in `banks`. Frames and decisions
are not copied: they age out by themselves. A state says up to where its view's commands and words were carried out, as
an offset; where these topics are made anew, the offset is that of the same record there.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from deploy.errors import CommandFailed, UsageError
from ingest.bank_state import BankState
from ingest.contract import BadMessage
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store_layout import PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings, TopicName
    from ingest.store import Store

T = TypeVar("T")

TOPICS: tuple[TopicName, ...] = ("commands", "feedback", "bank-events", "drift-events", "banks")
"""In the order in which they are restored: states name offsets of the first two."""
FORMAT = 1
DONE = "backup.json"
RECORDS_A_FILE = 5000
READ_SECONDS = 600.0


@dataclass
class Copied:
    """What was copied, and what was left alone because something was there."""

    records: dict[str, int] = field(default_factory=dict)
    """By topic."""
    files: int = 0
    left_alone: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        return {"records": self.records, "files": self.files, "left_alone": self.left_alone}


def back_up(
    kafka: KafkaSettings, store: Store, to: Store, *, pictures: bool, at: datetime, told: Callable[[str], None]
) -> Copied:
    """Copy topics and store; `pictures`: with those of the history, too. Raises KafkaFailure, StoreError."""
    if to.paths():
        raise UsageError(f"there are files already where {to.uri(DONE)} would be; give a new folder for each backup")
    copied = Copied()
    for name in TOPICS:
        topic = kafka.topic(name)
        told(f"topic {topic}")
        with WholeTopicReader.open(kafka, topics=[topic], give_up_seconds=kafka.give_up_seconds) as reader:
            records = map(_line_of, reader.stream_to_end(READ_SECONDS))
            copied.records[name] = 0
            for number, lines in enumerate(_batches(records, RECORDS_A_FILE)):
                to.put(f"topics/{name}/{number:06}.jsonl", "".join(lines).encode())
                copied.records[name] += len(lines)
    told("store")
    for path in store.paths():
        if pictures or not path.startswith(f"{PICTURES}/"):
            to.put(f"store/{path}", store.get(path))
            copied.files += 1
    document = {"format": FORMAT, "at": at.isoformat(), **copied.to_json()}
    to.put(DONE, json.dumps(document, indent=2).encode())
    return copied


def restore(kafka: KafkaSettings, store: Store, source: Store, *, told: Callable[[str], None]) -> Copied:
    """Put a copy back. Topics that hold records, and files that are there, are left alone.

    Raises:
        UsageError: there is no whole copy, or a newer release made it.
        CommandFailed: it holds fewer records than it says.
        KafkaFailure, StoreError: Kafka or a store failed; a second run goes on with what is left, topic by topic.
    """
    document = _checked(source)
    copied = Copied()
    moved: dict[str, _Moved] = {}
    for name in TOPICS:
        topic = kafka.topic(name)
        told(f"topic {topic}")
        with WholeTopicReader.open(kafka, topics=[topic], give_up_seconds=kafka.give_up_seconds) as reader:
            empty = not any(reader.end_offsets().values())
        if not empty:
            copied.left_alone.append(topic)
            continue
        lines = list(_lines(source, name))
        if len(lines) != document["records"][name]:
            raise CommandFailed(f"of {name} {len(lines)} records are there, {document['records'][name]} were copied")
        moved[name] = _sent(kafka, topic, lines, moved)
        copied.records[name] = len(lines)
    told("store")
    there = set(store.paths())
    for path in source.paths("store"):
        place = path.removeprefix("store/")
        if place in there:
            copied.left_alone.append(place)
        else:
            store.put(place, source.get(path))
            copied.files += 1
    return copied


class _Moved:
    """Which offset a record of a topic of one partition has now."""

    def __init__(self) -> None:
        self._offsets: dict[int, int] = {}
        self._end = 0

    def note(self, before: int, now: int) -> None:
        self._offsets[before] = now
        self._end = now + 1

    def through(self, before: int) -> int:
        """The offset of the first record that was at `before` or behind it."""
        return min((now for was, now in self._offsets.items() if was >= before), default=self._end)


def _sent(kafka: KafkaSettings, topic: str, lines: list[dict[str, Any]], moved: dict[str, _Moved]) -> _Moved:
    offsets = _Moved()
    with KafkaSender.open(kafka, writes=(topic,), give_up_seconds=kafka.give_up_seconds) as sender:
        for some in _batches(lines, RECORDS_A_FILE):
            pending = [(each["offset"], sender.send(_outgoing(topic, each, moved))) for each in some]
            for before, each in pending:
                offsets.note(before, each.wait(READ_SECONDS).offset)
    return offsets


def _outgoing(topic: str, line: dict[str, Any], moved: dict[str, _Moved]) -> Outgoing:
    headers = tuple((name, base64.b64decode(content)) for name, content in line["headers"])
    return Outgoing(topic, _bytes(line["key"]), _with_offsets(_bytes(line["value"]), moved), headers)


def _with_offsets(value: bytes | None, moved: dict[str, _Moved]) -> bytes | None:
    """A bank state by the offsets that `commands` and `feedback` have now; any other value as it is."""
    try:
        state = BankState.from_bytes(value or b"")
    except BadMessage:
        return value
    changes = {
        f"{name}_through": moved[name].through(getattr(state, f"{name}_through"))
        for name in ("commands", "feedback")
        if name in moved
    }
    return state.model_copy(update=changes).to_bytes()


def _checked(source: Store) -> dict[str, Any]:
    if not source.exists(DONE):
        raise UsageError(f"there is no whole backup: {source.uri(DONE)} is missing")
    document: dict[str, Any] = json.loads(source.get(DONE))
    if document["format"] > FORMAT:
        raise UsageError("a newer release made this backup: restore it with that release")
    return document


def _lines(source: Store, name: str) -> Iterator[dict[str, Any]]:
    for path in source.paths(f"topics/{name}"):
        yield from map(json.loads, source.get(path).decode().splitlines())


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items, so many at a time."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def _line_of(record: Record) -> str:
    line = {
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": _text(record.key),
        "value": _text(record.value),
        "headers": [(name, _text(content)) for name, content in record.headers],
    }
    return json.dumps(line) + "\n"


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
