"""Against a broker that asks who is there: the loop works by certificate and password, a refusal is one sentence."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.errors import Refused
from ingest.kafka.topics import create_topics
from tests.ingest.kafka.streams import answer, answered, once, open_loop, send_numbered, wait_until
from tests.secured import PASSWORD, USER, SecuredBroker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.transactions import TransactionLoop

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.xdist_group("secured")]


@pytest.fixture(scope="module")
def secured(kafka_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """One for all tests of this file."""
    broker = SecuredBroker.start(kafka_home, tmp_path_factory.mktemp("secured"))
    yield broker
    broker.kafka.stop()


def connections(secured: SecuredBroker) -> list[KafkaSettings]:
    """Every way in."""
    password_file = secured.folder / "password"
    password_file.write_text(f"{PASSWORD}\n", encoding="utf-8")
    return [
        secured.tls(),
        secured.sasl(mechanism="SCRAM-SHA-512"),
        secured.sasl(mechanism="PLAIN", password=None, password_file=str(password_file)),
    ]


def polled(loop: TransactionLoop, count: int) -> list[Record]:
    """So many records."""
    records: list[Record] = []
    wait_until(lambda: len(records) == count, seconds=30, doing=lambda: records.extend(loop.poll(0.1)))
    return records


def test_frames_are_answered_once_by_every_way_in(secured: SecuredBroker) -> None:
    """Topics made, frames sent, read, answered in transactions and read again: each client shows who it is."""
    for settings in connections(secured):
        create_topics(settings, give_up_seconds=30)
        sent = send_numbered(settings, range(6), cameras=2)
        with open_loop(settings) as loop:
            loop.commit([answer(settings, each) for each in polled(loop, 6)])
        assert answered(settings) == once(sent)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_refusal_is_one_sentence(secured: SecuredBroker) -> None:
    """Not "no broker answers", tried for ever: a person has to act."""
    patience = {"request_timeout_seconds": 3, "rebalance_timeout_seconds": 10}
    wrong = {"password": "wrong"}
    untrusted = (
        "its certificate is not to be trusted: kafka.ca_file did not sign it, it has expired, or it is for another"
    )
    refusals = {
        f"the broker refuses user '{USER}' (SCRAM-SHA-512): wrong name, password or mechanism": secured.sasl(**wrong),
        f"the broker refuses user '{USER}' (PLAIN): wrong name, password or mechanism": secured.sasl(
            mechanism="PLAIN", **wrong
        ),
        f"{untrusted} host name": secured.tls(ca_file=str(secured.foreign_ca_file), **patience),
        "the broker wants a certificate that its CA signed: set kafka.certificate_file and kafka.key_file": secured.tls(
            certificate_file=None, key_file=None, **patience
        ),
        "this port does not speak TLS: set kafka.security, or another port": secured.tls(
            bootstrap_servers=secured.kafka.bootstrap_servers, **patience
        ),
        "a file of kafka.ca_file, certificate_file or key_file is not there": secured.tls(ca_file="/no", **patience),
    }
    for sentence, settings in refusals.items():
        with pytest.raises(Refused) as refused:
            create_topics(settings, give_up_seconds=5)
        assert str(refused.value) == f"Kafka at {settings.bootstrap_servers}: {sentence}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client forgets the sockets of refused connections
        gc.collect()
