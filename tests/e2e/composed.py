"""deploy/compose.yml as processes: the same commands, settings files and environment, where no container engine is.

What a container engine does is done by hand, and nothing else: a service's file system is a folder with copies of what
is mounted; the names of other services become loopback addresses, every port a free one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from tests.brokers import KafkaBroker, free_port
from tests.e2e.services import PATCHLINE, Service, environment, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose.yml"
OF_THE_NODE = re.compile(r"listener|process\.roles|node\.id|quorum|log\.dirs")
"""Settings of Kafka that say where it is: the tests' broker has its own."""
PROGRAMS = {"prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
"""Debian's names for what the images run."""
WORKING_FOLDER = "/etc/patchline"
"""As deploy/Dockerfile says."""


def services() -> dict[str, dict[str, Any]]:
    """Every service of the file, anchors and merges resolved."""
    document = yaml.safe_load(COMPOSE.read_text())
    return dict(document["services"])


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Source and target of each volume; a source that begins with a dot is a path beside the file."""
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        yield source, target


def debian_program(service: str) -> str:
    """Where the program of a service is; skips where its Debian package is not installed."""
    found = shutil.which(PROGRAMS[service])
    if found is None:
        pytest.skip(f"{PROGRAMS[service]} is not installed (Debian packages prometheus, prometheus-alertmanager)")
    return found


@dataclass
class Composed:
    """Running services. `broker` is started by whoever has a Kafka; leaving it kills what still runs."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services of compose.yml."""
        return services()

    def port(self, address: str) -> int:
        """The loopback port that stands for `service:port`."""
        return self.ports.setdefault(address, free_port())

    def broker(self, home: Path) -> KafkaBroker:
        """Kafka with the settings of compose.yml, those of its own node apart."""
        said = self.services["kafka"]["environment"].items()
        settings = {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for name, value in said}
        kept = {name: value for name, value in settings.items() if not OF_THE_NODE.search(name)}
        broker = KafkaBroker(home, self.folder / "kafka", port=self.port("kafka:9092"), overrides=kept).start()
        self._stack.callback(broker.stop)
        return broker

    def root(self, name: str) -> Path:
        """The file system of a service: copies of its mounted files, its volumes beside."""
        root = self.folder / "roots" / name
        if not root.exists():
            root.mkdir(parents=True)
            for source, target in mounts(self.services[name]):
                self._mount(source, root / target.lstrip("/"))
        return root

    def _mount(self, source: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not source.startswith("."):
            volume = self.folder / "volumes" / source
            volume.mkdir(parents=True, exist_ok=True)
            target.symlink_to(volume)
        elif (path := COMPOSE.parent / source).is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)

    def rewritten(self, name: str, text: str) -> str:
        """A word of compose.yml or of a mounted file as it is here: addresses and paths."""
        text = text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 -- a container's way to be reached
        for service in self.services:
            text = re.sub(rf"\b{service}:\d+", lambda found: f"127.0.0.1:{self.port(found[0])}", text)
        for _, target in mounts(self.services[name]):
            text = re.sub(rf"(?<![\w.]){re.escape(target)}", str(self.root(name) / target.lstrip("/")), text)
        return text

    def patchline(self, name: str) -> Service:
        """One of our services, by its command, with its environment, in its folder."""
        words = [self._own_port(name, str(word)) for word in self.services[name]["command"]]
        return self._started(name, [str(PATCHLINE), *words], self._inside(name), self._environment(name))

    def another(self, name: str) -> Service:
        """A second one of a service, as docs/operations.md says: with a Kafka instance id of its own."""
        own = {"PATCHLINE__KAFKA__INSTANCE_ID": f"another-{name}"}
        own |= dict.fromkeys(self._own_ports(), "0")
        command = [str(PATCHLINE), *map(str, self.services[name]["command"])]
        return self._started(f"another-{name}", command, self._inside(name), self._environment(name) | own)

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command in the place of a service: `docker compose exec NAME patchline ...`."""
        return run(*arguments, folder=self._inside(name), **self._environment(name))

    def _inside(self, name: str) -> Path:
        return self.root(name) / WORKING_FOLDER.lstrip("/")

    def _environment(self, name: str) -> dict[str, str]:
        said = self.services[name]["environment"].items()
        return {key: self.rewritten(name, str(value)) for key, value in said} | self._own_ports()

    def alive(self, name: str) -> subprocess.CompletedProcess[str]:
        """The health check of one of our services, run once."""
        (kind, *words) = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        words = [self._own_port(name, word) for word in words]
        program = str(PATCHLINE.with_name(words[0]))
        return subprocess.run([program, *words[1:]], capture_output=True, text=True, check=False, cwd=ROOT)

    def of_prometheus(self, name: str, web: str) -> Service:
        """Prometheus or Alertmanager, from Debian in place of their images, at the address others know it by."""
        words = [self.rewritten(name, word) for word in self.services[name]["command"]]
        listen = f"--web.listen-address=127.0.0.1:{self.port(web)}"
        return self._started(name, [debian_program(name), *words, listen], self.folder, {})

    def _own_port(self, name: str, word: str) -> str:
        return str(self.port(f"{name}:{word}")) if re.fullmatch(r"94\d\d", word) else self.rewritten(name, word)

    def _own_ports(self) -> dict[str, str]:
        """In containers each service has the port that patchline.yaml says; here they share one machine."""
        sections = {
            "inspect:9401": "INFERENCE",
            "train:9402": "TRAINER",
            "watch:9403": "WATCH",
            "record:9405": "RECORD",
        }
        return {f"PATCHLINE__{part}__METRICS_PORT": str(self.port(address)) for address, part in sections.items()}

    def _started(self, name: str, command: Sequence[str], folder: Path, more: dict[str, str]) -> Service:
        log = self.folder / f"{name}.log"
        with log.open("ab") as lines:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=lines, stderr=lines, cwd=folder, env=environment(**more)
            )
        self._stack.callback(_end, process)
        return Service(name, process, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
