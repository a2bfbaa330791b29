"""Brokers that tests start and stop themselves: a real Apache Kafka, to be killed, paused and reconfigured."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingest.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from pathlib import Path

READY_SECONDS = 60.0


def free_port() -> int:
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass
class KafkaBroker:
    """One Apache Kafka node with its own data folder; `start` after `kill` finds the data again."""

    home: Path
    folder: Path
    port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    overrides: dict[str, str] = field(default_factory=dict)
    format_options: list[str] = field(default_factory=list)
    """Of Kafka's tool that makes the data folder."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    def settings(self, **changes: object) -> KafkaSettings:
        """Client settings for this broker, with a prefix of their own unless one is given."""
        ours = {"topic_prefix": f"t{uuid.uuid4().hex[:8]}.", "bootstrap_servers": self.bootstrap_servers}
        return KafkaSettings.model_validate({**ours, **changes})

    def start(self) -> KafkaBroker:
        """Format the data folder the first time, start, and wait until the broker answers."""
        properties = self.folder / "server.properties"
        if not properties.exists():
            self._format(properties)
        with (self.folder / "broker.log").open("ab") as log:
            command = [*self._java("-Xmx512m", "-Xms256m"), "kafka.Kafka", str(properties)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Stop in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: the broker hangs, its connections stay open."""
        self._require().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._require().send_signal(signal.SIGCONT)

    def _require(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError("the broker is not running")
        return self.process

    def _end(self, how: signal.Signals) -> None:
        process = self._require()
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        self.process = None

    def _java(self, *options: str) -> list[str]:
        quiet = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        return ["java", *options, *quiet, "-cp", f"{self.home}/libs/*"]

    def _format(self, properties: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = {**_properties(self.folder, self.port, self.controller_port), **self.overrides}
        properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        # A letter in front: Kafka's own ids never begin with "-", which its tool takes for an option, one time in 64.
        cluster = "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        command = [*self._java(), "kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c"]
        subprocess.run(
            [*command, str(properties), *self.format_options],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=self.folder,
        )

    def _wait_until_ready(self) -> None:
        log, ends = self.folder / "broker.log", time.monotonic() + READY_SECONDS
        while time.monotonic() < ends:
            if self._require().poll() is not None:
                raise RuntimeError(f"Kafka ended at once; see its log:\n{_tail(log)}")
            if answers(self.port):
                return
            time.sleep(0.1)
        raise RuntimeError(f"Kafka was not ready after {READY_SECONDS} s; see its log:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _properties(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    listeners = f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": listeners,
        "advertised.listeners": listeners,
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(folder / "log"),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(12 * 1024 * 1024),
        "auto.create.topics.enable": "false",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "log.cleaner.dedupe.buffer.size": str(2 * 1024 * 1024),
        "log.cleaner.threads": "1",
        "log.cleaner.backoff.ms": "500",
        "group.min.session.timeout.ms": "1000",
    }


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
