"""The rights that docs/security.md gives: its own commands, run, and every service works with what they allow."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kafka.admin import KafkaAdminClient

from ingest.kafka.connecting import client_options
from ingest.kafka.errors import KafkaFailure
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender
from tests.brokers import KafkaBroker, free_port
from tests.e2e.services import Answers, Services, page, wait_until
from tests.inference.sample_bank import VIEW, jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingest.kafka.settings import KafkaSettings, TopicName

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
SERVICES = {
    "train": "patchline-trainer",
    "inspect": "patchline-inference",
    "watch": "patchline-watch",
    "record": "patchline-record",
}
PEOPLE = ("camera-1", "ana")
SMALL = {"geometry": {"mode": "squash", "height_px": 64, "width_px": 64}, "coreset_cap": 200, "detection_plants": 0}
"""A build of little work: what it learns is not looked at."""
ACL_COMMAND = "org.apache.kafka.tools.AclCommand"
FURTHER = "cell-4.images"
"""A further topic of frames, whose name has nothing of the prefix."""
FURTHER_VIEW = "line-9/side"
PASSWORD = "correct horse"  # noqa: S105 -- of a broker that lives as long as the test


@dataclass
class AskingBroker:
    """A broker with rights. By `kafka.settings()` whoever comes is its administrator, by `of` one of the users."""

    kafka: KafkaBroker
    users_port: int

    def of(self, user: str, prefix: str) -> KafkaSettings:
        """How a user comes in."""
        return self.kafka.settings(
            topic_prefix=prefix,
            more_frame_topics=(FURTHER,),
            bootstrap_servers=f"127.0.0.1:{self.users_port}",
            security="sasl_plaintext",
            mechanism="PLAIN",
            username=user,
            password=PASSWORD,
            request_timeout_seconds=5,
        )


@pytest.fixture
def asking(kafka_home: Path, tmp_path: Path) -> Iterator[AskingBroker]:
    """Without a rule nobody may do anything."""
    kafka, port = KafkaBroker(kafka_home, tmp_path / "kafka"), free_port()
    ports = {"PLAINTEXT": kafka.port, "CONTROLLER": kafka.controller_port, "SASL_PLAINTEXT": port}
    listeners = ",".join(f"{name}://127.0.0.1:{number}" for name, number in ports.items())
    users = " ".join(f'user_{each}="{PASSWORD}"' for each in (*SERVICES.values(), *PEOPLE))
    kafka.overrides |= {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.security.protocol.map": ",".join(
            f"{name}:{'PLAINTEXT' if name == 'CONTROLLER' else name}" for name in ports
        ),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_plaintext.plain.sasl.jaas.config": f"{PLAIN} required {users};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    kafka.start()
    yield AskingBroker(kafka, port)
    kafka.stop()


def give_rights(broker: KafkaBroker, prefix: str, further: str, folder: Path) -> None:
    """The commands of docs/security.md, as they stand there."""
    (commands,) = re.findall(r"```sh\n(acl\(\).*?)```", SECURITY.read_text(encoding="utf-8"), re.DOTALL)
    tool = folder / "kafka-acls.sh"
    tool.write_text(f'#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -cp "{broker.home}/libs/*" {ACL_COMMAND} "$@"\n')
    tool.chmod(0o755)
    (folder / "admin.properties").write_text("")
    environ = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "B": broker.bootstrap_servers,
        "P": prefix,
        "F": further,
    }
    done = subprocess.run(
        ["/bin/bash", "-euc", commands], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def refused(settings: KafkaSettings, name: TopicName, *, write: bool) -> bool:
    """Whether a user may not read, or not write, a topic."""
    topic = settings.topic(name)
    try:
        if write:
            with KafkaSender.open(settings, writes=(topic,), give_up_seconds=20) as sender:
                sender.send_and_wait(Outgoing(topic, VIEW.encode(), b"x"), 20)
        else:
            with WholeTopicReader.open(settings, topics=[topic], give_up_seconds=20) as reader:
                reader.read_to_end(20)
    except KafkaFailure:
        return True
    return False


def test_every_service_works_with_the_rights_that_the_documentation_gives_it(
    asking: AskingBroker, tmp_path: Path
) -> None:
    """Each as a user of its own; a frame of the camera's user is learnt, decided, watched and recorded."""
    admin = asking.kafka.settings(partitions=1, more_frame_topics=(FURTHER,))
    with KafkaAdminClient(**client_options(admin)) as client:
        client.create_topics({FURTHER: {"num_partitions": 1, "replication_factor": 1}})
        client.wait_for_topics([FURTHER])
    prefix = admin.topic_prefix
    folder = tmp_path / "line"
    folder.mkdir()
    ports = {"watch": free_port(), "record": free_port()}
    over = {
        "views": {"*": {"deadline_seconds": 600, "first_build_frames": 20, "build": SMALL}},
        "watch": {"metrics_port": ports["watch"]},
        "record": {"metrics_port": ports["record"], "database": f"sqlite:///{folder}/record.sqlite"},
    }
    with Services(folder, admin, over=over) as by_admin:
        by_admin.run("topics", "create")
    give_rights(asking.kafka, prefix, FURTHER, tmp_path)
    users = asking.of("patchline-inference", prefix)
    with Services(folder, users, over=over) as services:
        services.kafka = users
        started = {}
        for name, user in SERVICES.items():
            flags = ("--set", f"kafka.username={user}", "--set", f"kafka.password={PASSWORD}")
            started[name] = services.start(name, *flags)
        ports |= {"train": services.train_port, "inspect": services.inspect_port}

        def ready() -> bool:
            for service in started.values():
                assert service.process.poll() is None, service.logged
            return all(page(port, "/readyz") is not None for port in ports.values())

        wait_until(ready, "every service becoming ready")
        camera = asking.of("camera-1", prefix)
        with KafkaSender.open(camera, writes=camera.frame_topics) as sender:
            for number in range(30):
                sender.send_and_wait(Outgoing(camera.topic("frames"), VIEW.encode(), jpeg(number)), 60)
            sender.send_and_wait(Outgoing(camera.topic("frames"), VIEW.encode(), b"no picture"), 60)
            sender.send_and_wait(Outgoing(FURTHER, FURTHER_VIEW.encode(), jpeg(5)), 60)
        with Answers(admin) as answers:
            wait_until(lambda: answers.read() >= 32, "an answer to every frame")
            assert len(answers.dead_letters) == 1
            assert [each.source.topic for each in answers.decisions if each.view == FURTHER_VIEW] == [FURTHER]

        def shown(name: str, sample: str) -> float:
            text = page(ports[name], "/metrics") or ""
            return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(sample))

        wait_until(lambda: shown("record", "patchline_record_decisions_total") >= 31, "the decisions being recorded")
        collected = f'patchline_trainer_frames_collected_total{{view="{FURTHER_VIEW}"}}'
        wait_until(lambda: shown("train", collected) == 1, "the further topic's frame being learnt from")
        wait_until(lambda: shown("inspect", "patchline_bank_swaps_total") > 0, "the first bank coming into force")
        with KafkaSender.open(camera, writes=(camera.topic("frames"),)) as sender:
            sender.send_and_wait(Outgoing(camera.topic("frames"), VIEW.encode(), jpeg(99)), 60)
        wait_until(lambda: shown("watch", "patchline_drift_decisions") > 0, "the decisions being watched")
        for service in started.values():
            assert "authorization" not in service.logged.lower(), service.logged
    assert not refused(asking.of("ana", prefix), "commands", write=True)
    assert not refused(asking.of("ana", prefix), "decisions", write=False)
    only_further = {"topics": {"frames": FURTHER}, "more_frame_topics": ()}
    for user, is_refused in (("ana", False), ("camera-1", True)):
        reader = asking.of(user, prefix).model_copy(update=only_further)
        assert refused(reader, "frames", write=False) == is_refused, user
    for user, name, write in (
        ("camera-1", "decisions", False),
        ("camera-1", "commands", True),
        ("ana", "banks", True),
        ("patchline-inference", "banks", True),
        ("patchline-trainer", "decisions", True),
        ("patchline-watch", "banks", True),
        ("patchline-record", "commands", True),
    ):
        assert refused(asking.of(user, prefix), name, write=write), (user, name)
