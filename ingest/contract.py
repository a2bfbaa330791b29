"""What all JSON messages share: frozen values, strict writers, lenient readers, one version number.

A message is a value. Writers refuse a field they do not know; readers ignore one, so that an older reader follows a
newer writer of the same major version. A newer major version is refused with a sentence that says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from ingest.kafka.records import Partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.kafka.records import Record

SCHEMA = 1
"""Major version of every message this release writes, and the newest it reads."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Who = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A person or a service. What comes from outside is bounded, so that every answer that repeats it fits its topic."""
Why = Annotated[str, StringConstraints(max_length=1000)]
"""Somebody's reason, in words."""
TopicText = Annotated[str, StringConstraints(min_length=1, max_length=249)]
"""A topic's full name; Kafka allows no longer one."""
Moment = AwareDatetime
"""A point in time; RFC 3339 with an offset on the wire."""


MAX_FAULTS = 10
MAX_FAULT_CHARACTERS = 1000


class BadMessage(ValueError):
    """A record of one of our JSON topics that is not what its contract says."""


class NewerSchema(BadMessage):
    """A message of a major version this release does not know."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"message has schema {found}, this release reads up to {SCHEMA}: update Patchline here before the services "
            "that write it"
        )


class FrozenModel(BaseModel):
    """A frozen part of a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="null")


class Message(FrozenModel):
    """A whole JSON message. `patchline_schema` is its major version."""

    patchline_schema: Annotated[int, Field(ge=1, le=SCHEMA)] = SCHEMA

    def to_bytes(self) -> bytes:
        """The record value: compact JSON, absent fields left out."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a record value, ignoring fields of later minor versions.

        Raises:
            NewerSchema: the message has a major version this release does not know.
            BadMessage: it is not JSON or breaks the contract; the text names each wrong field.
        """
        try:
            return cls.model_validate_json(data, extra="ignore")
        except ValidationError as error:
            raise _refusal(cls.__name__, data, error) from error


def _refusal(name: str, data: bytes, error: ValidationError) -> BadMessage:
    """Why a message is none: looked for only then, as it is read a second time for it."""
    try:
        found = from_json(data)  # json.loads would end in RecursionError where brackets nest too deep
    except ValueError as broken:
        return BadMessage(f"{name} is not JSON: {broken}")
    schema = found.get("patchline_schema", SCHEMA) if isinstance(found, dict) else SCHEMA
    if isinstance(schema, int) and schema > SCHEMA:
        return NewerSchema(schema)
    return BadMessage(f"{name} breaks its contract: {_faults(error)}")


def _faults(error: ValidationError) -> str:
    """The first faults in words; whoever wrote the message chose how many there are, and their names."""
    shown = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]
    said = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'message'}: {each['msg']}" for each in shown)
    return said[:MAX_FAULT_CHARACTERS] + (f"; {more} more" if (more := error.error_count() - len(shown)) else "")


class SourceRecord(FrozenModel):
    """Where a frame stands in Kafka: the identity of an input record."""

    topic: TopicText
    partition: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @property
    def topic_partition(self) -> Partition:
        """Its partition, with the topic."""
        return Partition(self.topic, self.partition)

    def short(self, first_topic: str) -> str:
        """What people call it: partition:offset, and before it the topic where that is another one than the first."""
        return f"{self.partition}:{self.offset}" if self.topic == first_topic else str(self)

    def default_frame_id(self, first_topic: str) -> str:
        """The id of a frame whose camera gave it none: unique among all frames of a cluster."""
        return self.short(first_topic).replace(":", "-")

    @classmethod
    def of(cls, record: Record) -> Self:
        """Where a record that was read stands."""
        return cls(topic=record.topic, partition=record.partition, offset=record.offset)

    @classmethod
    def from_provenance(cls, place: Sequence[Any], topic: str) -> Self:
        """Where a frame was, by a bank's provenance: partition, offset, and its topic where that is not `topic`."""
        partition, offset, *other = place
        return cls(topic=other[0] if other else topic, partition=partition, offset=offset)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form `str()` gives. Raises ValueError where it is another."""
        topic, partition, offset = text.rsplit(":", 2)
        return cls(topic=topic, partition=int(partition), offset=int(offset))
