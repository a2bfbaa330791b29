"""How to reach Kafka and how patient to be: the `kafka` section of `patchline.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr, model_validator

TopicName = Literal[
    "frames",
    "decisions",
    "decisions.shadow",
    "banks",
    "bank-events",
    "drift-events",
    "commands",
    "feedback",
    "frames.dead-letter",
]
MAX_FRAME_TOPIC_CHARACTERS = 200
FullTopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class KafkaSettings(BaseModel):
    """Plain values; nothing here reads the environment. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(default="127.0.0.1:9092", pattern=r"^[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*$")
    """`host:port`, several separated by commas."""
    security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    """How the connection is kept: in the clear, by TLS, by a user's name and password, or by both."""
    ca_file: str | None = None
    """PEM certificates of who signed the broker's; none: those that the machine trusts."""
    certificate_file: str | None = None
    """PEM certificate of this client, for mutual TLS; with `key_file`."""
    key_file: str | None = None
    key_password: SecretStr | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is shown to the broker; PLAIN sends it as it is."""
    username: str | None = None
    password: SecretStr | None = None
    """Better in the environment (PATCHLINE__KAFKA__PASSWORD), or in `password_file`."""
    password_file: str | None = None
    """Holds the password and nothing else; a mounted secret. Read at each connection."""
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """Put before every topic name and group id, so that two plants can share a cluster."""
    topics: dict[TopicName, FullTopicName] = Field(default_factory=dict)
    """Full names of topics that are called otherwise here: any topic of keyed images may be `frames`."""
    more_frame_topics: tuple[FullTopicName, ...] = ()
    """Full names of further topics of frames, which are read beside `frames`. Cameras of ours write to `frames`."""
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

    give_up_seconds: PositiveFloat = 10.0
    """A command that reaches no broker ends after so long; a service tries on."""

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

    @model_validator(mode="after")
    def _is_secured_as_it_says(self) -> KafkaSettings:
        by_password = self.security in {"sasl_plaintext", "sasl_tls"}
        if by_password and (self.username is None or (self.password is None) == (self.password_file is None)):
            raise ValueError(f"security {self.security} needs username, and password or password_file (one of them)")
        if not by_password and (self.username or self.password or self.password_file):
            raise ValueError(f"security {self.security} sends no password: set security to sasl_tls")
        if self.security not in {"tls", "sasl_tls"} and (self.ca_file or self.certificate_file or self.key_file):
            raise ValueError(f"security {self.security} uses no certificate: set security to tls or sasl_tls")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self

    def secret(self) -> str | None:
        """The password. Raises OSError where its file cannot be read."""
        if self.password_file is not None:
            return Path(self.password_file).read_text(encoding="utf-8").rstrip("\r\n")
        return None if self.password is None else self.password.get_secret_value()

    @model_validator(mode="after")
    def _topics_are_apart(self) -> KafkaSettings:
        names = [*map(self.topic, get_args(TopicName)), *self.more_frame_topics]
        if twice := next((each for each in names if names.count(each) > 1), None):
            raise ValueError(f"topics: {twice} would be two topics at once")
        longest = max(self.frame_topics, key=len)
        if self.more_frame_topics and len(longest) > MAX_FRAME_TOPIC_CHARACTERS:
            raise ValueError(
                f"more_frame_topics: of several topics of frames each has {MAX_FRAME_TOPIC_CHARACTERS} characters at "
                f"most, as frame ids and files hold the name; {longest} has {len(longest)}"
            )
        return self

    def topic(self, name: TopicName) -> str:
        """The name of a topic on this cluster: its own, or the prefix and ours."""
        return self.topics.get(name, self.topic_prefix + name)

    @property
    def frame_topics(self) -> tuple[str, ...]:
        """The names of all topics of frames on this cluster; the first is `frames`."""
        return (self.topic("frames"), *self.more_frame_topics)

    def group(self, name: str) -> str:
        """The id of a group on this cluster."""
        return self.topic_prefix + name
