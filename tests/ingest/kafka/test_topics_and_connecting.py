"""Making topics, showing them, and what is said when there is no broker."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, get_args

import pytest
from kafka import KafkaProducer
from kafka.errors import MetadataEmptyBrokerList
from pydantic import ValidationError
from structlog.testing import capture_logs

from ingest.kafka.client_logs import ClientLog
from ingest.kafka.connecting import Deadline, client_options, connected, require_topics
from ingest.kafka.errors import BrokerUnreachable
from ingest.kafka.producing import producer_options
from ingest.kafka.settings import KafkaSettings, TopicName
from ingest.kafka.topics import (
    TOPICS,
    SettingDifference,
    create_topics,
    describe_topics,
    differences,
    wanted_configs,
)
from tests.brokers import KafkaBroker, free_port

if TYPE_CHECKING:
    from deploy.local_stack.embedded_broker import EmbeddedBroker


def nowhere(**changes: object) -> KafkaSettings:
    """Settings that lead to a port nobody listens on."""
    return KafkaSettings.model_validate(
        {"bootstrap_servers": f"127.0.0.1:{free_port()}", "connect_retry_seconds": 0.05, **changes}
    )


@pytest.mark.kafka
def test_topics_are_created_once_and_then_left_alone(kafka_broker: KafkaBroker) -> None:
    """The first run creates all nine, the second changes nothing."""
    settings = kafka_broker.settings()
    assert {report.state for report in describe_topics(settings)} == {"missing"}
    assert {(report.state, report.differences) for report in create_topics(settings)} == {("created", ())}
    assert {(report.state, report.differences) for report in create_topics(settings)} == {("existing", ())}
    assert {report.name: report.partitions for report in describe_topics(settings)} == {
        settings.topic("frames"): 6,
        settings.topic("decisions"): 6,
        settings.topic("decisions.shadow"): 6,
        settings.topic("banks"): 1,
        settings.topic("bank-events"): 1,
        settings.topic("drift-events"): 1,
        settings.topic("commands"): 1,
        settings.topic("feedback"): 1,
        settings.topic("frames.dead-letter"): 6,
    }


@pytest.mark.kafka
def test_a_topic_that_is_otherwise_is_shown_with_what_differs(kafka_broker: KafkaBroker) -> None:
    """Nothing that holds records is changed behind a person's back."""
    settings = kafka_broker.settings()
    create_topics(settings)
    wider = settings.model_copy(update={"partitions": 12})
    frames = create_topics(wider)[0]
    assert (frames.state, frames.differences) == ("differing", (SettingDifference("partitions", "12", "6"),))


@pytest.mark.kafka
@pytest.mark.parametrize("days", [-400, 3])
def test_a_sender_whose_clock_is_wrong_is_taken_by_the_brokers_clock(kafka_broker: KafkaBroker, days: int) -> None:
    """By its own, an inspection an hour ahead had every decision refused, and its partitions stood still."""
    settings = kafka_broker.settings()
    create_topics(settings)
    topics = [settings.topic(topic.name) for topic in TOPICS]
    wrong_ms = int((time.time() + days * 86400) * 1000)
    producer = KafkaProducer(**client_options(settings), **producer_options(settings))
    sent = [producer.send(topic, key=b"line/camera", value=b"any", timestamp_ms=wrong_ms) for topic in topics]
    stamps = [each.get(timeout=30).timestamp for each in sent]
    producer.close()
    assert all(abs(stamp - time.time() * 1000) < 3_600_000 for stamp in stamps)


@pytest.mark.embedded
def test_the_embedded_broker_takes_the_same_topics(embedded_broker: EmbeddedBroker) -> None:
    """It stores every setting, whether or not it acts on it."""
    settings = KafkaSettings(bootstrap_servers=embedded_broker.bootstrap_servers, topic_prefix="topics-test.")
    assert {(report.state, report.differences) for report in create_topics(settings)} == {("created", ())}
    assert {(report.state, report.differences) for report in create_topics(settings)} == {("existing", ())}


def test_every_topic_of_the_stream_has_its_row() -> None:
    """The table and the type of topic names agree."""
    assert tuple(topic.name for topic in TOPICS) == get_args(TopicName)


def test_two_of_three_replicas_must_have_a_record() -> None:
    """With one replica there is nothing to ask for."""
    one, three = nowhere(), nowhere(replication_factor=3)
    assert "min.insync.replicas" not in wanted_configs(TOPICS[0], one)
    assert wanted_configs(TOPICS[0], three)["min.insync.replicas"] == "2"


def test_a_setting_the_broker_lacks_is_a_difference() -> None:
    """Missing and other values both count; more settings than wanted do not."""
    assert differences({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == (
        SettingDifference("a", "1", None),
        SettingDifference("b", "2", "3"),
    )


def test_without_a_broker_one_sentence_says_where_and_what_to_do() -> None:
    """A refused connection, after the time given."""
    settings = nowhere()
    with capture_logs() as logs, pytest.raises(BrokerUnreachable) as raised:
        create_topics(settings, give_up_seconds=0.2)
    assert str(raised.value) == (
        f"no Kafka broker answers at {settings.bootstrap_servers} ({settings.bootstrap_servers}: Connection refused); "
        "start one, or set kafka.bootstrap_servers to the right address"
    )
    assert {entry["event"] for entry in logs} == {"broker_unreachable"}


def test_an_unknown_host_is_called_so() -> None:
    """A typing mistake in the address is not a broker that is down."""
    settings = nowhere(bootstrap_servers="no-such-host.invalid:9092")
    with pytest.raises(BrokerUnreachable, match=r"the host name 'no-such-host\.invalid' is unknown"):
        describe_topics(settings, give_up_seconds=0)


def test_waiting_for_a_broker_ends_when_it_comes() -> None:
    """A service may be started before its broker."""
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        settings = nowhere(bootstrap_servers=f"127.0.0.1:{late.getsockname()[1]}")
        timer = threading.Timer(0.3, late.listen)
        timer.start()
        with capture_logs() as logs:
            assert connected(lambda: "client", settings, give_up_seconds=10) == "client"
        timer.join()
    assert logs
    assert logs[0] == {
        "event": "broker_unreachable",
        "log_level": "warning",
        "servers": settings.bootstrap_servers,
        "reason": f"{settings.bootstrap_servers}: Connection refused",
    }


def test_waiting_for_a_broker_ends_when_the_service_is_stopped() -> None:
    """SIGTERM before the broker came must not hang."""
    stop = threading.Event()
    stop.set()
    with pytest.raises(BrokerUnreachable):
        connected(lambda: "client", nowhere(), stop=stop)


@pytest.mark.parametrize("servers", ["", "localhost", "localhost:port", "a:1,,b:2", "http://a b:9"])
def test_an_address_without_host_and_port_is_refused(servers: str) -> None:
    """Better at the settings than at the first connection."""
    with pytest.raises(ValidationError, match="bootstrap_servers"):
        KafkaSettings(bootstrap_servers=servers)


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt key must not be ignored."""
    with pytest.raises(ValidationError, match="bootstrap_server"):
        KafkaSettings.model_validate({"bootstrap_server": "a:1"})


def test_the_client_says_the_same_only_twice_a_minute() -> None:
    """While a broker is down kafka-python repeats itself every few milliseconds; we keep the first."""
    now = [0.0]
    handler = ClientLog(clock=lambda: now[0])
    record = logging.LogRecord("kafka.net", logging.ERROR, __file__, 1, "lost %s", ("node 1",), None)
    with capture_logs() as logs:
        for now[0] in (0.0, 1.0, 29.0, 31.0):
            handler.emit(record)
    assert [entry["message"] for entry in logs] == ["lost node 1"] * 2


def test_a_deadline_is_one_budget_for_all_waits() -> None:
    """What one wait used is not there for the next, and nothing is ever less than nothing."""
    now = [100.0]
    deadline = Deadline(3.0, clock=lambda: now[0])
    assert (deadline.left_seconds, deadline.left_ms, deadline.passed) == (3.0, 3000, False)
    now[0] = 102.0
    assert deadline.left_ms == 1000
    now[0] = 110.0
    assert (deadline.left_seconds, deadline.passed) == (0.0, True)


def test_a_broker_that_names_no_topics_is_no_traceback() -> None:
    """One that fenced itself, or just started, answers without a list of brokers; the client is let go of."""
    let_go: list[bool] = []

    def starting(topic: str) -> set[int]:
        raise MetadataEmptyBrokerList(topic)

    with pytest.raises(BrokerUnreachable, match="does not say which topics there are: MetadataEmptyBrokerList"):
        require_topics(starting, ["frames"], otherwise=lambda: let_go.append(True))
    assert let_go == [True]
