"""Against a broker that asks who is there: the loop works by certificate and password, a refusal is one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.topics import create_topics
from tests.ingest.kafka.streams import answer, answered, once, open_loop, send_numbered, wait_until
from tests.secured import PASSWORD, USER, SecuredBroker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings
    from ingest.kafka.transactions import TransactionLoop

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


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


def refused(settings: KafkaSettings) -> subprocess.Popen[str]:
    """A command that has to reach the broker, as a person starts it; the password is in its environment."""
    password = settings.secret()
    changes = settings.model_dump(mode="json", exclude={"password", "key_password"}, exclude_defaults=True)
    flags = [f"--set=kafka.{name}={value}" for name, value in changes.items()]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PATCHLINE")}
    if password is not None:
        environ["PATCHLINE__KAFKA__PASSWORD"] = password
    command = [sys.executable, "-m", "deploy.cli", "topics", "show", *flags]
    return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def test_a_refusal_is_one_sentence(secured: SecuredBroker) -> None:
    """Not "no broker answers", tried for ever: a person has to act."""
    untrusted = "its certificate is not to be trusted: kafka.ca_file did not sign it, it has expired, or it is for"
    wrong = {"password": "wrong"}
    refusals = {
        f"the broker refuses user '{USER}' (SCRAM-SHA-512): wrong name, password or mechanism": secured.sasl(**wrong),
        f"the broker refuses user '{USER}' (PLAIN): wrong name, password or mechanism": secured.sasl(
            mechanism="PLAIN", **wrong
        ),
        f"{untrusted} another host name": secured.tls(ca_file=str(secured.foreign_ca_file)),
        "the broker wants a certificate that its CA signed: set kafka.certificate_file and kafka.key_file": secured.tls(
            certificate_file=None, key_file=None
        ),
        "a file of kafka.ca_file, certificate_file or key_file is not there": secured.tls(ca_file="/no"),
    }
    commands = [(sentence, settings, refused(settings)) for sentence, settings in refusals.items()]
    for sentence, settings, command in commands:
        _, err = command.communicate(timeout=120)
        assert command.returncode == 1
        assert " ".join(err.split()).endswith(f"Kafka at {settings.bootstrap_servers}: {sentence}")
