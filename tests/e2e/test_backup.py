"""A backup of a line, put back on a cluster and in a store that know nothing of it: the line goes on as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from deploy.trainer_commands import new_command
from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.command import CommandKind
from ingest.decision import Verdict
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.network.embed import OnnxEmbedder
from softpatch.network.graph import lite0
from tests.e2e.services import Answers, Services, run, wait_until
from tests.inference.sample_bank import VIEW, jpeg, sample_bank, state, stored

if TYPE_CHECKING:
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings, TopicName
    from tests.brokers import KafkaBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

AT = datetime(2026, 11, 28, tzinfo=UTC)
COMMANDS = [new_command(CommandKind.REBUILD, VIEW, why=why, at=AT) for why in ("carried out", "carried out", "not yet")]


def values(kafka: KafkaSettings, name: TopicName) -> list[bytes | None]:
    """What a topic holds."""
    with WholeTopicReader.open(kafka, topics=[kafka.topic(name)], give_up_seconds=30) as reader:
        return [each.value for each in reader.read_to_end(60)]


def line_with_a_bank(services: Services) -> str:
    """A bank in force, two commands that were carried out, and one that was not; returns the bank's version."""
    services.run("topics", "create")
    store = FsspecStore.open(services.store)
    in_force = stored(store, sample_bank(OnnxEmbedder.open(lite0(), provider="cpu", threads=1))).in_force
    store.put("pictures/a%2Fb/2026-11-28/x.jpg", b"a picture of the history")
    kafka, topic = services.kafka, services.kafka.topic
    with KafkaSender.open(kafka) as sender:
        # An aborted transaction, or retention, leaves offsets without records: the first command is not at 0.
        sender.send_and_wait(Outgoing(topic("commands"), VIEW.encode(), b"no command"), 30)
        at = [sender.send_and_wait(Outgoing(topic("commands"), VIEW.encode(), c.to_bytes()), 30) for c in COMMANDS]
        now = state(in_force).model_copy(update={"commands_through": at[2].offset})
        for each in (state(None), now):
            sender.send_and_wait(Outgoing(topic("banks"), VIEW.encode(), each.to_bytes()), 30)
    return in_force.version


def test_a_line_goes_on_from_its_backup(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """By the same bank; what was carried out is not carried out again, what was not is."""
    folder = str(tmp_path / "backup")
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    with Services(tmp_path / "before", kafka_broker.settings(partitions=1)) as before:
        version = line_with_a_bank(before)
        before.run("backup", folder, "--no-pictures", "--json", str(tmp_path / "backup.json"))
        assert json.loads((tmp_path / "backup.json").read_text())["records"]["commands"] == 4
        again = run("backup", folder, "--settings", str(before.settings_file()), folder=tmp_path)
        assert (again.returncode, "give a new folder for each backup" in " ".join(again.stderr.split())) == (2, True)
    with Services(tmp_path / "after", kafka_broker.settings(partitions=1)) as after:
        after.run("topics", "create")
        after.run("restore", folder)
        kafka = after.kafka
        assert values(kafka, "commands") == [b"no command", *(each.to_bytes() for each in COMMANDS)]
        assert BankState.from_bytes(values(kafka, "banks")[-1] or b"").commands_through == 3
        assert not FsspecStore.open(after.store).paths("pictures")
        after.run("restore", folder, "--json", str(tmp_path / "restore.json"))
        second = json.loads((tmp_path / "restore.json").read_text())
        assert (second["files"], kafka.topic("banks") in second["left_alone"]) == (0, True)
        for name in ("train", "inspect"):
            after.until_ready(after.start(name))
        with KafkaSender.open(kafka) as sender:
            sender.send_and_wait(Outgoing(kafka.topic("frames"), VIEW.encode(), jpeg(0)), 30)

        def events() -> list[str | None]:
            return [BankEvent.from_bytes(each or b"").command_id for each in values(kafka, "bank-events")]

        wait_until(lambda: COMMANDS[2].id in events(), "the command that waited is answered")
        assert not {COMMANDS[0].id, COMMANDS[1].id} & set(events())
        with Answers(kafka) as answers:
            wait_until(lambda: answers.read() > 0, "an answer")
        (decision,) = answers.decisions
        assert decision.bank is not None
        assert (decision.verdict, decision.bank.version) == (Verdict.PASS, version)


def test_an_unfinished_backup_is_not_restored(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    """The file that says it is whole is written last."""
    (tmp_path / "half" / "topics").mkdir(parents=True)
    with Services(tmp_path, kafka_broker.settings(partitions=1)) as services:
        done = run("restore", str(tmp_path / "half"), "--settings", str(services.settings_file()), folder=tmp_path)
    assert done.returncode == 2
    assert "there is no whole backup" in " ".join(done.stderr.split())
