"""What a fault is tried on: a broker, two inspections and a trainer that are started again when they die."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from tests.brokers import free_port
from tests.e2e.faults.stream import Feeder, Follower
from tests.e2e.services import Services, environment, page, wait_until

if TYPE_CHECKING:
    from tests.brokers import KafkaBroker
    from tests.e2e.faults.process import Deed, Point

ROOT = Path(__file__).parents[3]
TENDING_SECONDS = 0.2
SETTINGS = {
    "inference": {"batch_frames": 8},
    "trainer": {"flush_seconds": 0.5, "build_niceness": 0},  # faults wait for banks
    "views": {
        "*": {
            "first_build_frames": 12,
            "window_frames": 24,
            "rebuild_every_frames": 60,
            "deadline_seconds": 600,  # a busy machine must not turn verdicts into `undecided`
            "build": {
                "geometry": {"mode": "squash", "height_px": 64, "width_px": 64},
                "coreset_cap": 200,
                "detection_plants": 0,
            },
        }
    },
}


@dataclass
class Member:
    """One process of the rig; while it is `wanted`, it is started again within a second of its death."""

    name: str
    command: list[str]
    log: Path
    port: int
    wanted: bool = False
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Of its log, one for each start."""
    environ: dict[str, str] = field(default_factory=dict)
    """Beside what every process has."""

    def start(self) -> None:
        """Start it; its log is written behind the one before, by another process: a full disk must not be its end."""
        with self.log.open("ab") as lines:
            writer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=lines)  # noqa: S607 -- every system has it
        self.writers.append(writer)
        with writer.stdin:  # type: ignore[union-attr]  # a pipe
            self.process = subprocess.Popen(
                self.command, stdout=writer.stdin, stderr=writer.stdin, cwd=ROOT, env=environment(**self.environ)
            )
        self.starts += 1

    def running(self) -> subprocess.Popen[bytes]:
        """Its process. Raises RuntimeError where it was never started."""
        if self.process is None:
            raise RuntimeError(f"{self.name} is not started")
        return self.process

    def kill(self) -> None:
        """Kill -9."""
        self.running().kill()
        self.running().wait(30)

    def kill_and_wait(self) -> None:
        """Kill -9, and started again by whoever tends it."""
        starts = self.starts
        self.kill()
        wait_until(lambda: self.starts > starts, f"a new start of {self.name}")

    def restart(self) -> None:
        """Stopped in good order, started anew and ready."""
        if code := self.leave():
            raise RuntimeError(f"{self.name} ended with {code}")
        self.start()
        self.wanted = True
        wait_until(lambda: self.ready, f"{self.name} becoming ready")

    def pause(self) -> None:
        """SIGSTOP."""
        self.running().send_signal(SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self.running().send_signal(SIGCONT)

    def leave(self) -> int:
        """SIGTERM, and not started again; returns the exit code."""
        self.wanted = False
        self.running().terminate()
        return self.running().wait(60)

    @property
    def ready(self) -> bool:
        """Whether `/readyz` says so. Raises RuntimeError where it ended and is not to be started again."""
        if not self.wanted and self.running().poll() is not None:
            raise RuntimeError(f"{self.name} ended: {self.log.read_text(errors='replace')[-500:]}")
        return page(self.port, "/readyz") is not None


@dataclass
class Rig:
    """Two inspections, a trainer, frames that never stop, and every answer; entered, all of it runs."""

    services: Services
    broker: KafkaBroker
    frames_per_second: float = 20.0
    members: dict[str, Member] = field(default_factory=dict)
    _stop: Event = field(default_factory=Event)
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def deed_file(self) -> Path:
        """The file that tells a member where to die or stand still."""
        return self.services.folder / "told"

    @property
    def claimed(self) -> Path:
        """The folder whose pictures frames may claim."""
        return self.services.folder / "claimed"

    @property
    def history(self) -> str:
        """The database of a recorder."""
        return f"sqlite:///{self.services.folder}/record.sqlite"

    @property
    def inspections(self) -> list[Member]:
        """Those that inspect."""
        return [each for each in self.members.values() if each.name.startswith("inspect")]

    @property
    def trainer(self) -> Member:
        """The one that trains."""
        return self.members["train-a"]

    @property
    def all_ready(self) -> bool:
        """Whether all that are to run say that they are ready."""
        return all(each.ready for each in self.members.values() if each.wanted)

    def add(self, service: str, instance: str) -> Member:
        """Start one more member."""
        port, section = free_port(), {"inspect": "inference", "train": "trainer", "record": "record"}[service]
        settings = (
            f"kafka.instance_id={instance}",
            f"{section}.metrics_port={port}",
            f"claims.prefixes=[{self.claimed}]",
            f"record.database={self.history}",
        )
        command = [sys.executable, "-m", "tests.e2e.faults.process", str(self.deed_file), service]
        command += ["--settings", str(self.services.settings_file())]
        command += [word for setting in settings for word in ("--set", setting)]
        member = Member(f"{service}-{instance}", command, self.services.folder / f"{service}-{instance}.log", port)
        member.start()
        self.members[member.name] = member
        self._stack.callback(_end, member)
        return member

    def tell(self, deed: Deed, point: Point) -> None:
        """The next member that comes to this point of its work sends itself the signal; waits until one has."""
        self.deed_file.write_text(f"{deed} {point}")
        wait_until(lambda: not self.deed_file.exists(), f"{deed} {point}")

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:  # told to stop while it waits, say: what was started must not be left behind
            self._stack.close()
            raise
        return self

    def _begin(self) -> None:
        for service, instance in (("inspect", "a"), ("inspect", "b"), ("train", "a")):
            self.add(service, instance)
        self.follower = self._stack.enter_context(Follower(self.services.kafka))
        wait_until(lambda: all(each.ready for each in self.members.values()), "all members becoming ready")
        for member in self.members.values():
            member.wanted = True
        tender = Thread(target=self._tend, name="tender", daemon=True)
        tender.start()
        self._stack.callback(tender.join)  # else it starts one again that was just ended
        self._stack.callback(self._stop.set)
        self.feeder = self._stack.enter_context(Feeder(self.services.kafka, frames_per_second=self.frames_per_second))

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _tend(self) -> None:
        while not self._stop.wait(TENDING_SECONDS):
            for member in list(self.members.values()):
                if member.wanted and member.running().poll() is not None:
                    member.start()


def _end(member: Member) -> None:
    member.wanted = False
    time.sleep(TENDING_SECONDS)
    process = member.running()
    process.send_signal(SIGCONT)
    process.kill()
    process.wait(30)
    for writer in member.writers:
        writer.kill()  # a build that is about to end may still hold its pipe
        writer.wait(30)
