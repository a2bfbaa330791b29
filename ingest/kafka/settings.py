"""How to reach Kafka and how patient to be: the `kafka` section of `patchline.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

TopicName = Literal[
    "frames",
    "decisions",
    "decisions.shadow",
    "banks",
    "bank-events",
    "commands",
    "feedback",
    "frames.dead-letter",
    "drift-events",
]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class KafkaSettings(BaseModel):
    """Plain values; nothing here reads the environment. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(default="127.0.0.1:9092", pattern=r"^[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*$")
    """`host:port`, several separated by commas."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Put before every topic name and group id, so that two plants can share a cluster."""
    inference_group: Identifier = "patchline-inference"
    trainer_group: Identifier = "patchline-trainer"
    watch_group: Identifier = "patchline-watch"
    record_group: Identifier = "patchline-record"
    instance_id: Identifier = "0"
    """Stable name of this process within its group (a StatefulSet's pod name): its partitions wait for its restart."""

    partitions: PositiveInt = 6
    """Of `frames`, and of the topics that follow its keys."""
    replication_factor: PositiveInt = 1

    session_timeout_seconds: PositiveFloat = 10.0
    """A member silent for so long loses its partitions."""
    transaction_timeout_seconds: PositiveFloat = 10.0
    """An open transaction is aborted by the broker after so long; readers wait behind it until then."""
    rebalance_timeout_seconds: PositiveFloat = 30.0
    """A member that has not polled for so long is left behind; all waits of one rebalance share this deadline."""
    request_timeout_seconds: PositiveFloat = 10.0
    """For one answer, and the deadline of one commit."""
    connect_retry_seconds: PositiveFloat = 3.0
    """Between two attempts, and two log lines, while no broker answers."""

    max_message_bytes: PositiveInt = 12 * 1024 * 1024
    fetch_bytes: PositiveInt = 16 * 1024 * 1024
    """Most that one fetch brings into memory."""
    fetch_partition_bytes: PositiveInt = 4 * 1024 * 1024
    """Of which from one partition; a larger single record is still delivered."""

    @model_validator(mode="after")
    def _timeouts_nest(self) -> KafkaSettings:
        if self.rebalance_timeout_seconds < self.request_timeout_seconds:
            raise ValueError("rebalance_timeout_seconds must be at least request_timeout_seconds: it contains requests")
        return self

    def topic(self, name: TopicName) -> str:
        """The name of a topic on this cluster."""
        return self.topic_prefix + name

    def group(self, name: str) -> str:
        """The id of a group on this cluster."""
        return self.topic_prefix + name
