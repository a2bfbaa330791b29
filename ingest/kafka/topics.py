"""The topics of the stream as values, and the two things done with them: create what is missing, show what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from ingest.kafka.connecting import client_options, connected
from ingest.kafka.errors import BrokerUnreachable, Refused
from ingest.kafka.topic_harms import TopicFacts, harms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from threading import Event

    from ingest.kafka.settings import KafkaSettings, TopicName
    from ingest.kafka.untyped import Untyped

log = structlog.get_logger(__name__)

MIB = 1024 * 1024
KEPT_FOR_EVER = {"retention.ms": "-1", "retention.bytes": "-1"}
NO_ERROR = 0
MAX_MESSAGE_BYTES = "max.message.bytes"
DEFAULT_MESSAGE_BYTES = 1_048_588
"""What a topic takes whose setting nobody made."""
BY_THE_BROKERS_CLOCK = {"message.timestamp.type": "LogAppendTime"}
"""Of every topic. Deadlines and latencies are measured against one clock; and by a sender's clock the broker would
refuse all records of one that is an hour ahead, and expire those of one that is days behind at once."""
FROM_ANYONE = {"compression.type": "uncompressed"}
"""Pictures are packed already, and readers in other languages need no codec's library."""


@dataclass(frozen=True)
class Topic:
    """How one topic must be made. `follows_frames`: partitioned like `frames`, so that a key keeps its partition.

    `frames` stands for all topics of frames that the settings name.
    """

    name: TopicName
    key: Literal["line/camera", "view"]
    follows_frames: bool
    configs: Mapping[str, str]


@dataclass(frozen=True)
class SettingDifference:
    """A setting of an existing topic that is not as this table says; `found` is None where the broker has none."""

    setting: str
    wanted: str
    found: str | None


@dataclass(frozen=True)
class TopicReport:
    """One topic, as it is on the broker."""

    name: str
    state: Literal["created", "existing", "differing", "missing"]
    partitions: int
    differences: tuple[SettingDifference, ...] = ()
    harms: tuple[str, ...] = ()
    """What its settings do to those who use it, and what to do about it."""


# Topics keyed by view are small and read whole by everyone: one partition gives them one order.
TOPICS: tuple[Topic, ...] = (
    Topic(
        "frames",
        "line/camera",
        follows_frames=True,
        configs={MAX_MESSAGE_BYTES: str(10 * MIB), **FROM_ANYONE},
    ),
    Topic("decisions", "line/camera", follows_frames=True, configs={}),
    Topic("decisions.shadow", "line/camera", follows_frames=True, configs={}),
    # A compacted segment must be closed first: without segment.ms a quiet topic would never be compacted.
    # A state with 100 annotations, each with as long a reason as a person may give, must fit.
    Topic(
        "banks",
        "view",
        follows_frames=False,
        configs={"cleanup.policy": "compact", "segment.ms": "86400000", MAX_MESSAGE_BYTES: str(4 * MIB)},
    ),
    Topic("bank-events", "view", follows_frames=False, configs=KEPT_FOR_EVER),
    Topic("drift-events", "view", follows_frames=False, configs=KEPT_FOR_EVER),
    Topic("commands", "view", follows_frames=False, configs=FROM_ANYONE),
    Topic("feedback", "view", follows_frames=False, configs={**KEPT_FOR_EVER, **FROM_ANYONE}),
    # An untouched frame plus its reason must fit.
    Topic("frames.dead-letter", "line/camera", follows_frames=True, configs={MAX_MESSAGE_BYTES: str(12 * MIB)}),
)


def names_of(topic: Topic, settings: KafkaSettings) -> tuple[str, ...]:
    """The names on this cluster of the topics that it stands for."""
    return settings.frame_topics if topic.name == "frames" else (settings.topic(topic.name),)


def wanted_partitions(topic: Topic, settings: KafkaSettings) -> int:
    """How many partitions a topic is made with."""
    return settings.partitions if topic.follows_frames else 1


def wanted_configs(topic: Topic, settings: KafkaSettings) -> dict[str, str]:
    """Its settings; with three replicas or more a write needs two of them."""
    replicated = {"min.insync.replicas": "2"} if settings.replication_factor > 2 else {}  # noqa: PLR2004  of three, two
    return {**BY_THE_BROKERS_CLOCK, **topic.configs, **replicated}


def create_topics(
    settings: KafkaSettings, *, give_up_seconds: float | None = 10.0, stop: Event | None = None
) -> list[TopicReport]:
    """Create what is missing and leave the rest alone; report each topic. Safe to run again.

    Raises:
        BrokerUnreachable: no broker answered in time (None: waits until `stop` is set), or it stopped answering.
        Refused: the broker will not create a topic (rights, replication factor).
    """
    frames = settings.frame_topics
    with _admin(settings, give_up_seconds, stop) as admin:
        before = _describe(admin, settings)
        missing = {report.name for report in before if report.state == "missing"}
        # A camera's topic that was there first says how many partitions its answers have.
        widest = max(settings.partitions, *(each.partitions for each in before if each.name in frames))
        created = _create(admin, missing, settings, widest)
        after = _describe(admin, settings)
    return [_renamed(report) if report.name in created else report for report in after]


def describe_topics(
    settings: KafkaSettings, *, give_up_seconds: float = 10.0, deadline_seconds: float = 5.0
) -> list[TopicReport]:
    """Each topic as it is, where it differs from this table, and what of it hurts. Raises BrokerUnreachable.

    `deadline_seconds`: in which a frame is decided.
    """
    with _admin(settings, give_up_seconds, None) as admin:
        return _describe(admin, settings, deadline_seconds)


def largest_messages(settings: KafkaSettings, names: Collection[TopicName]) -> dict[TopicName, int]:
    """How many bytes a message of each topic may have, by the broker and by our own producer.

    Where the broker does not say (rights), as this table makes the topics.
    """
    told: Mapping[str, Mapping[str, str | None]] = {}
    try:
        with _admin(settings, settings.request_timeout_seconds, None) as admin:
            told = _configs(admin, [settings.topic(name) for name in names])
    except (BrokerUnreachable, Refused) as error:
        log.warning("topic_settings_unknown", topics=list(names), cause=str(error))
    made = {topic.name: topic.configs for topic in TOPICS}
    default = str(DEFAULT_MESSAGE_BYTES)
    takes = {name: told.get(settings.topic(name), made[name]).get(MAX_MESSAGE_BYTES) or default for name in names}
    return {name: min(int(size), settings.max_message_bytes) for name, size in takes.items()}


@dataclass(frozen=True)
class MissingPartitions:
    """A topic of answers with fewer partitions than a topic of frames, which nobody here may add."""

    topic: str
    partitions: int
    wanted: int
    why: str

    def __str__(self) -> str:
        return (
            f"{self.topic} has {self.partitions} partitions and a topic of frames {self.wanted}: answers of several "
            f"share one; add them (kafka-topics.sh --alter --topic {self.topic} --partitions {self.wanted}). {self.why}"
        )


def add_partitions(settings: KafkaSettings, *, give_up_seconds: float = 10.0) -> list[MissingPartitions]:
    """Give every topic of answers as many partitions as the widest of frames has, where that is allowed.

    Returns those that are left without. Raises BrokerUnreachable.
    """
    answers = {settings.topic(topic.name) for topic in TOPICS if topic.follows_frames and topic.name != "frames"}
    with _admin(settings, give_up_seconds, None) as admin:
        described = _admin_call(lambda: admin.describe_topics(sorted({*answers, *settings.frame_topics})))
        counts = {each["name"]: len(each["partitions"]) for each in described if each["error_code"] == NO_ERROR}
        wanted = max(counts.get(name, 0) for name in settings.frame_topics)
        short = {name: count for name, count in counts.items() if name in answers and count < wanted}
        return [missing for name, count in short.items() if (missing := _grown(admin, name, count, wanted)) is not None]


def _grown(admin: Untyped, topic: str, count: int, wanted: int) -> MissingPartitions | None:
    try:
        _admin_call(lambda: admin.create_partitions({topic: wanted}))
    except Refused as error:
        return MissingPartitions(topic, count, wanted, str(error))
    log.info("partitions_added", topic=topic, before=count, now=wanted)
    return None


def differences(wanted: Mapping[str, str], found: Mapping[str, str | None]) -> tuple[SettingDifference, ...]:
    """The wanted settings that are not so."""
    return tuple(
        SettingDifference(name, value, found.get(name)) for name, value in wanted.items() if found.get(name) != value
    )


def _renamed(report: TopicReport) -> TopicReport:
    state: Literal["created", "differing"] = "differing" if report.differences else "created"
    return TopicReport(report.name, state, report.partitions, report.differences, report.harms)


def _create(admin: Untyped, names: Collection[str], settings: KafkaSettings, widest: int) -> set[str]:
    answers = settings.model_copy(update={"partitions": widest})
    wanted = {
        name: {
            "num_partitions": wanted_partitions(topic, settings if topic.name == "frames" else answers),
            "replication_factor": settings.replication_factor,
            "configs": wanted_configs(topic, settings),
        }
        for topic, name in _all(settings)
        if name in names
    }
    if not wanted:
        return set()
    answers = _admin_call(lambda: admin.create_topics(wanted, raise_errors=False))["topics"]
    for answer in answers:
        # Another process may have been quicker.
        if for_code(answer["error_code"]) not in (for_code(NO_ERROR), TopicAlreadyExistsError):
            raise Refused(f"the broker does not create {answer['name']}: {answer['error_message']}")
    # The answer comes before every broker knows the topic.
    _admin_call(lambda: admin.wait_for_topics(list(wanted)))
    return {answer["name"] for answer in answers if answer["error_code"] == NO_ERROR}


def _describe(admin: Untyped, settings: KafkaSettings, deadline_seconds: float = 5.0) -> list[TopicReport]:
    names = [name for _, name in _all(settings)]
    described = _admin_call(lambda: admin.describe_topics(names))
    partitions = {each["name"]: len(each["partitions"]) for each in described if each["error_code"] == NO_ERROR}
    found = _configs(admin, [name for name in names if name in partitions])
    facts = {
        name: TopicFacts(topic.name, partitions[name], found[name])
        for topic, name in _all(settings)
        if name in partitions
    }
    frames = tuple(fact for fact in facts.values() if fact.name == "frames")
    return [
        _report(topic, name, settings, facts[name], harms(facts[name], frames, deadline_seconds=deadline_seconds))
        if name in facts
        else TopicReport(name, "missing", 0)
        for topic, name in _all(settings)
    ]


def _all(settings: KafkaSettings) -> list[tuple[Topic, str]]:
    """Every topic with its name on this cluster, in the order of the table."""
    return [(topic, name) for topic in TOPICS for name in names_of(topic, settings)]


def _report(topic: Topic, name: str, settings: KafkaSettings, fact: TopicFacts, hurts: tuple[str, ...]) -> TopicReport:
    wanted = {"partitions": str(wanted_partitions(topic, settings)), **wanted_configs(topic, settings)}
    wrong = differences(wanted, {**fact.configs, "partitions": str(fact.partitions)})
    return TopicReport(name, "differing" if wrong else "existing", fact.partitions, wrong, hurts)


def _configs(admin: Untyped, names: list[str]) -> dict[str, dict[str, str | None]]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    # "all": the embedded broker calls every value a default, and only modified ones would come otherwise.
    found = _admin_call(lambda: admin.describe_configs(resources, config_filter="all"))["topic"]
    return {name: {key: entry["value"] for key, entry in found.get(name, {}).items()} for name in names}


def _admin_call(ask: Untyped) -> Untyped:
    try:
        return ask()
    except KafkaError as error:
        if error.retriable:
            raise BrokerUnreachable(f"the broker stopped answering: {error}") from error
        raise Refused(f"the broker refuses: {error}") from error


def _admin(settings: KafkaSettings, give_up_seconds: float | None, stop: Event | None) -> Untyped:
    return connected(
        lambda: KafkaAdminClient(**client_options(settings)), settings, give_up_seconds=give_up_seconds, stop=stop
    )
