"""A whole line on this machine for one run: broker, topics and services, each a process, ended afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from prometheus_client.parser import text_string_to_metric_families

from deploy.errors import CommandFailed
from deploy.local_stack.embedded_broker import EmbeddedBroker, free_port
from deploy.local_stack.supervisor import Program, Supervisor, WillNotRun
from deploy.settings import PREFIX, read_settings
from ingest.kafka.topics import create_topics
from ingest.view import merged
from monitoring.console.settings import ConsoleSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deploy.settings import Settings

LOOK_SECONDS = 0.1
SCRAPE_SECONDS = 2.0
PASS_EVERY_SECONDS = 1.0
"""A line that is watched for minutes: what it passes is to be seen."""
BROKER_LOG = "broker.log"
SETTINGS_FILE = "patchline.yaml"


@dataclass(frozen=True)
class StackOptions:
    """Options of a run. `bootstrap` None starts the embedded broker; `over` is laid over all settings."""

    folder: Path
    flags: Sequence[str] = ()
    bootstrap: str | None = None
    topic_prefix: str = ""
    over: dict[str, Any] | None = None


class LocalStack:
    """A running line; use it as a context manager."""

    def __init__(self, settings: Settings, folder: Path, supervisor: Supervisor, stack: ExitStack) -> None:
        self.settings = settings
        self.folder = folder
        self._supervisor = supervisor
        self._stack = stack

    @classmethod
    def start(cls, options: StackOptions) -> Self:
        """A broker with topics, and the settings that the services will read; no service runs yet.

        Raises:
            EmbeddedBrokerError, KafkaFailure: there is no broker.
            UsageError: a setting is wrong.
        """
        with ExitStack() as stack:
            _empty(options.folder)
            bootstrap = (
                options.bootstrap
                or stack.enter_context(EmbeddedBroker.start(log_file=options.folder / BROKER_LOG)).bootstrap_servers
            )
            settings = _settings(options, bootstrap)
            create_topics(settings.kafka)
            document = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
            (options.folder / SETTINGS_FILE).write_text(document, encoding="utf-8")
            supervisor = stack.enter_context(Supervisor(give_up=True))
            return cls(settings, options.folder, supervisor, stack.pop_all())

    def run(self, *services: str) -> None:
        """Start services, logging into the run's folder."""
        # The file holds what file, environment and flags came to; read a second time, the environment would win.
        environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        for service in services:
            arguments = ["-m", "deploy.cli", service, "--settings", str(self.folder / SETTINGS_FILE)]
            self._supervisor.start(
                Program(service, [sys.executable, *arguments], environ, log_file=self.folder / f"{service}.log")
            )

    def look(self) -> None:
        """Start again what has died. Raises CommandFailed where a service cannot run."""
        try:
            self._supervisor.look()
        except WillNotRun as error:
            raise CommandFailed(f"{error}: {self.folder}/*.log") from None

    def wait_until(self, happened: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Look after the services until something has happened. Raises CommandFailed where it does not in time."""
        ends = time.monotonic() + seconds
        while not happened():
            self.look()
            if time.monotonic() > ends:
                raise CommandFailed(f"{what} did not happen within {seconds:g} s; see {self.folder}/*.log")
            time.sleep(LOOK_SECONDS)

    def ready(self, port: int) -> bool:
        """Whether the service with this metrics port says that it is ready."""
        return _get(port, "/readyz") is not None

    def samples(self, port: int, name: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of that name that a service shows now; none where it does not answer.

        Only their lines are parsed: all of a page take a core a tenth of a second, which services want for themselves.
        """
        lines = (_get(port, "/metrics") or "").splitlines()
        shown = "".join(f"{line}\n" for line in lines if line.startswith((f"{name}{{", f"{name} ")))
        families = text_string_to_metric_families(shown)
        return [(sample.labels, sample.value) for family in families for sample in family.samples]

    def bank_in_force(self, view: str) -> str | None:
        """The version of the bank that inference decides this view by."""
        for labels, value in self.samples(self.settings.inference.metrics_port, "patchline_bank_info"):
            if labels.get("view") == view and value == 1:
                return labels["version"]
        return None

    @property
    def console_address(self) -> str:
        """Where the console's pages are."""
        return f"http://127.0.0.1:{self.settings.console.port}"

    def restarts(self) -> int:
        """How many times a service had to be started again."""
        return sum(self._supervisor.restarts().values())

    def stop_services(self) -> None:
        """SIGTERM to the services; the broker goes on, so that what they committed can be read."""
        self._supervisor.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


def _settings(options: StackOptions, bootstrap: str) -> Settings:
    fixed = {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": options.topic_prefix},
        "store": {"url": str(options.folder / "store")},
        "inference": {"metrics_port": free_port()},
        "trainer": {"metrics_port": free_port()},
        "watch": {"metrics_port": free_port()},
        "record": {
            "metrics_port": free_port(),
            "database": f"sqlite:///{options.folder / 'store' / 'record.sqlite'}",
            "pass_every_seconds": PASS_EVERY_SECONDS,
        },
        "console": {"port": _console_port()},
    }
    return read_settings(None, os.environ, options.flags, over=merged(fixed, options.over or {}))


def _console_port() -> int:
    """The usual one, where nobody listens on it: an address that a person can remember."""
    usual = ConsoleSettings().port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            return free_port()
    return usual


def _empty(folder: Path) -> None:
    """What a run before left would be taken for this one's: windows and banks survive a broker in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "store", ignore_errors=True)
    for log in folder.glob("*.log"):
        log.unlink()


def _get(port: int, path: str) -> str | None:
    """The page, or None where it is not there or not well."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=SCRAPE_SECONDS) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return None
