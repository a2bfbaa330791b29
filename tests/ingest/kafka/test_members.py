"""Several processes, and what happens to them: every input record is answered exactly once all the same."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from ingest.kafka.readers import WholeTopicReader
from tests.brokers import KafkaBroker
from tests.ingest.kafka.member import FENCED
from tests.ingest.kafka.streams import Source, answered, once, send_numbered, topics_made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingest.kafka.settings import KafkaSettings

pytestmark = pytest.mark.kafka


@contextmanager
def member(settings: KafkaSettings, instance_id: str) -> Iterator[subprocess.Popen[bytes]]:
    """A member process, ended with the test."""
    own = settings.model_copy(update={"instance_id": instance_id})
    command = [sys.executable, "-m", "tests.ingest.kafka.member", own.model_dump_json(), "0.03"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def quick(broker: KafkaBroker) -> KafkaSettings:
    """A fresh stream whose members are missed after 2 seconds."""
    return topics_made(
        broker.settings(session_timeout_seconds=2, transaction_timeout_seconds=3, rebalance_timeout_seconds=10)
    )


def wait_for_answers(settings: KafkaSettings, count: int, *, seconds: float) -> None:
    """Until a read_committed reader has seen `count` answers."""
    ends, seen = time.monotonic() + seconds, 0
    with WholeTopicReader.open(settings, topics=[settings.topic("decisions")]) as reader:
        while seen < count:
            if time.monotonic() > ends:
                raise TimeoutError(f"{seen} of {count} answers after {seconds} s")
            seen += len(reader.poll(0.5))


def all_answered_once(settings: KafkaSettings, sources: set[Source]) -> None:
    """Nothing lost, nothing twice; waits a little for late doubles."""
    wait_for_answers(settings, len(sources), seconds=40)
    time.sleep(1.0)
    assert answered(settings) == once(sources)


def test_members_come_and_go_while_frames_flow(kafka_broker: KafkaBroker) -> None:
    """A second member joins, the first leaves, the second is killed with -9 in its work and restarted."""
    settings = quick(kafka_broker)
    sources = send_numbered(settings, range(300))
    with ExitStack() as members:
        first = members.enter_context(member(settings, "a"))
        wait_for_answers(settings, 30, seconds=20)
        second = members.enter_context(member(settings, "b"))
        sources |= send_numbered(settings, range(300, 600))
        wait_for_answers(settings, 250, seconds=20)
        first.terminate()
        assert first.wait(10) == 0
        sources |= send_numbered(settings, range(600, 900))
        wait_for_answers(settings, 450, seconds=20)
        second.kill()
        members.enter_context(member(settings, "b"))
        all_answered_once(settings, sources)


def test_a_member_that_hung_too_long_answers_nothing_twice(kafka_broker: KafkaBroker) -> None:
    """SIGSTOP beyond the session timeout: another member takes over, and the zombie's old work does not count."""
    settings = quick(kafka_broker)
    sources = send_numbered(settings, range(400))
    with member(settings, "a") as zombie, member(settings, "b"):
        wait_for_answers(settings, 60, seconds=30)
        zombie.send_signal(signal.SIGSTOP)
        time.sleep(5)
        sources |= send_numbered(settings, range(400, 500))
        zombie.send_signal(signal.SIGCONT)
        all_answered_once(settings, sources)


@pytest.mark.slow
def test_a_broker_killed_and_started_again_is_survived(kafka_home: Path, tmp_path: Path) -> None:
    """Kill -9 of the broker in the middle: members that it fences restart, as their supervisor would do it."""
    broker = KafkaBroker(kafka_home, tmp_path / "kafka").start()
    try:
        settings = quick(broker)
        sources = send_numbered(settings, range(300))
        with ExitStack() as members:
            process = members.enter_context(member(settings, "a"))
            wait_for_answers(settings, 50, seconds=30)
            broker.kill()
            time.sleep(1)
            broker.start()
            if process.poll() is not None:
                assert process.returncode == 3
            sources |= send_numbered(settings, range(300, 400))
            supervisor_until = time.monotonic() + 30
            while time.monotonic() < supervisor_until and sum(answered(settings).values()) < len(sources):
                if process.poll() is not None:
                    process = members.enter_context(member(settings, "a"))
                time.sleep(0.5)
            all_answered_once(settings, sources)
    finally:
        broker.stop()


def test_two_processes_with_one_instance_id_are_told_of_each_other(kafka_broker: KafkaBroker) -> None:
    """Who comes is told by name whom it throws out, who goes ends and says why; one that is alone is told nothing."""
    settings = quick(kafka_broker)
    sources = send_numbered(settings, range(60))
    with ExitStack() as members:
        first = members.enter_context(member(settings, "a"))
        wait_for_answers(settings, 30, seconds=30)
        second = members.enter_context(member(settings, "a"))
        said, _ = first.communicate(timeout=60)
        assert first.returncode == FENCED
        assert "another process took over instance id 'a'" in said.decode()
        all_answered_once(settings, sources)
        second.terminate()
        told = second.communicate(timeout=30)[0].decode()
        assert f"Instance id 'a' was taken over from process {first.pid} on {socket.gethostname()} (127.0.0.1)." in told
        assert "None" in said.decode().splitlines()
