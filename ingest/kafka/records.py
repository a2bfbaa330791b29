"""What goes over the wire, as values: records in, records out, and the right to commit them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

TimestampType = Literal["create_time", "log_append_time"]
Headers = tuple[tuple[str, bytes], ...]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def label(self, first_topic: str) -> str:
        """What metrics call it: its number, and before it the topic where that is another one than the first."""
        return str(self.partition) if self.topic == first_topic else f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to commit a partition, from one assignment until it is revoked or a transaction aborts.

    The same partition assigned twice gives two claims: work done under the first never commits under the second.
    """

    partition: Partition
    tenure: int


@dataclass(frozen=True, slots=True)
class Unread:
    """Records of a broken batch that nobody can read, and why."""

    first_offset: int
    why: str


@dataclass(frozen=True, slots=True)
class Record:
    """One record as read; `claim` is None where no group is involved (whole-topic readers)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    timestamp_type: TimestampType
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    claim: Claim | None = None
    unread: Unread | None = None
    """It stands for the records from `unread.first_offset` to `offset`, and holds nothing of them."""

    @property
    def topic_partition(self) -> Partition:
        """The partition it was read from, with the topic."""
        return Partition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record to write; without a partition its key decides, by the hash that Java's clients use (murmur2).

    A partition that the topic does not have wraps around: 7 of a topic of 6 is 1 (`partition_in`).
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


def partition_in(partition: int, partitions: int) -> int:
    """Where the answer to a record of this partition goes, in a topic that may have fewer."""
    return partition % partitions


@dataclass(frozen=True, slots=True)
class Work:
    """What one claim adds to a transaction: its records, and the offset from which its partition is still to be done.

    For one input record: `Work.of(record, [decision])`. A record that has no output still needs its Work.
    """

    claim: Claim
    next_offset: int
    outgoing: tuple[Outgoing, ...] = ()

    @classmethod
    def of(cls, record: Record, outgoing: tuple[Outgoing, ...] = ()) -> Work:
        """The work that finishes `record`. Raises ValueError for a record that was read without a group."""
        if record.claim is None:
            raise ValueError(f"{record.topic}-{record.partition}@{record.offset} was read without a claim to commit it")
        return cls(record.claim, record.offset + 1, outgoing)


@dataclass(frozen=True, slots=True)
class Committed:
    """How a commit ended: the works that are now in Kafka, and those left out because their claim was void."""

    done: tuple[Work, ...]
    void: tuple[Work, ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """Where an acknowledged record lies."""

    partition: Partition
    offset: int
    timestamp_ms: int
