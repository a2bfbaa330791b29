"""Services for the end-to-end tests: settings, topics, and the `patchline` command as processes that can be killed."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.request import urlopen

import yaml
from prometheus_client.parser import text_string_to_metric_families

from ingest.dead_letter import DeadLetter, parse_dead_letter
from ingest.decision import Decision
from ingest.kafka.readers import WholeTopicReader
from tests.brokers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingest.contract import SourceRecord
    from ingest.kafka.records import Record
    from ingest.kafka.settings import KafkaSettings

PATCHLINE = Path(sysconfig.get_path("scripts")) / "patchline"
PATIENCE_SECONDS = 240.0
"""For anything that happens at last: the machine may be busy, and no test asserts a time."""


def environment(**more: str) -> dict[str, str]:
    """The environment of a command: ours without any Patchline setting, a wide terminal, and `more`."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("PATCHLINE_")}
    return {**inherited, "COLUMNS": "200", "NO_COLOR": "1", **more}


def wait_until(happened: Callable[[], bool], what: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Look again and again. Raises TimeoutError that says what did not happen."""
    ends = time.monotonic() + patience_seconds
    while not happened():
        if time.monotonic() > ends:
            raise TimeoutError(f"{what} did not happen within {patience_seconds:g} s")
        time.sleep(0.1)


@dataclass
class Service:
    """One process and where it logs; a later start of the same service logs behind the earlier one."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def logged(self) -> str:
        """All it logged so far."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


@dataclass
class Services:
    """One patchline.yaml and the services that run by it; leaving it kills what still runs."""

    folder: Path
    kafka: KafkaSettings
    over: dict[str, Any] = field(default_factory=dict)
    inspect_port: int = field(default_factory=free_port)
    train_port: int = field(default_factory=free_port)
    up_port: int = field(default_factory=free_port)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def store(self) -> str:
        """Where banks and windows lie."""
        return str(self.folder / "store")

    def settings_file(self) -> Path:
        """The patchline.yaml, written."""
        document = {
            "kafka": self.kafka.model_dump(mode="json"),
            "store": {"url": self.store},
            "runtime": {"provider": "cpu", "threads": 1},
            "inference": {"metrics_port": self.inspect_port},
            "trainer": {"metrics_port": self.train_port, "flush_seconds": 0.5},
            "up": {"metrics_port": self.up_port},
            **self.over,
        }
        path = self.folder / "patchline.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One command by these settings, to its end, which must be good."""
        command = [PATCHLINE, *arguments, "--settings", self.settings_file()]
        done = run(*map(str, command[1:]), folder=self.folder)
        assert done.returncode == 0, done.stderr
        return done

    def start(self, name: str, *arguments: str) -> Service:
        """A command that runs until it is told to stop: train, inspect, camera."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as lines:
            process = subprocess.Popen(
                [PATCHLINE, name, *arguments, "--settings", self.settings_file()],
                stdout=lines,
                stderr=lines,
                cwd=self.folder,
                env=environment(),
            )
        self._stack.callback(_end, process)
        return Service(name, process, log)

    def until_ready(self, service: Service) -> None:
        """Wait until `/readyz` of a service says so; it must go on running meanwhile."""

        def ready() -> bool:
            assert service.process.poll() is None, service.logged
            return page(self.port_of(service), "/readyz") is not None

        wait_until(ready, f"{service.name} becoming ready")

    def port_of(self, service: Service) -> int:
        """Its metrics port."""
        return {"inspect": self.inspect_port, "train": self.train_port, "up": self.up_port}[service.name]

    def metric(self, service: Service, sample: str) -> float:
        """The sum of a sample over its labels, scraped now."""
        families = text_string_to_metric_families(page(self.port_of(service), "/metrics") or "")
        return sum(each.value for family in families for each in family.samples if each.name == sample)

    def labelled(self, service: Service, sample: str, **labels: str) -> float:
        """One series of a sample, scraped now."""
        families = text_string_to_metric_families(page(self.port_of(service), "/metrics") or "")
        samples = [each for family in families for each in family.samples if each.name == sample]
        return sum(each.value for each in samples if each.labels == labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


class Answers:
    """All committed decisions and dead letters, read_committed and before any de-duplication; use it on one thread."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._decisions, dead_letters = kafka.topic("decisions"), kafka.topic("frames.dead-letter")
        self._reader = WholeTopicReader.open(kafka, topics=[self._decisions, dead_letters], give_up_seconds=30)
        self.decisions: list[Decision] = []
        self.dead_letters: list[DeadLetter] = []

    def read(self) -> int:
        """Take some of what has been committed since; returns how many answers were taken so far."""
        for each in self._reader.poll(0.2):
            self._take(each)
        return len(self.decisions) + len(self.dead_letters)

    def read_to_end(self) -> Self:
        """Take all there was when this reader was opened, and perhaps more."""
        for each in self._reader.read_to_end(PATIENCE_SECONDS):
            self._take(each)
        return self

    def by_source(self) -> Counter[SourceRecord]:
        """How often every input record was answered."""
        return Counter(each.source for each in (*self.decisions, *self.dead_letters))

    def _take(self, record: Record) -> None:
        if record.topic == self._decisions:
            self.decisions.append(Decision.from_bytes(record.value or b""))
        else:
            letter = parse_dead_letter(key=record.key, value=record.value, headers=record.headers)
            self.dead_letters.append(letter)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._reader.close()


def run(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """`patchline` with these arguments, to its end; `more` goes into its environment."""
    return begun(arguments, folder, **more)()


def begun(arguments: Sequence[str], folder: Path, **more: str) -> Callable[[], subprocess.CompletedProcess[str]]:
    """`patchline` started; call what is returned to wait for its end."""
    process = subprocess.Popen(
        [PATCHLINE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment(**more),
        text=True,
    )

    def ended() -> subprocess.CompletedProcess[str]:
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return ended


def page(port: int, path: str) -> str | None:
    """A health page; None while it is not served or not well."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return str(answer.read().decode())
    except (URLError, OSError):
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(30)
