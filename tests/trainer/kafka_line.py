"""A small line for the trainer's Kafka tests: frames in, trainers as processes, states and events out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.bank_event import BankEvent
from ingest.bank_state import BankState
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.topics import create_topics
from ingest.kafka.writers import KafkaSender
from ingest.store import FsspecStore
from softpatch.images.geometry import Geometry
from softpatch.settings import BuildSettings
from trainer.settings import TrainerSettings, ViewTraining
from trainer.window_store import WindowStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.command import Command
    from ingest.feedback import Feedback
    from ingest.kafka.settings import KafkaSettings
    from trainer.window import WindowIndex

VIEW = "line-1/camera-1"
ROOT = Path(__file__).parents[2]
QUICK = TrainerSettings(metrics_port=0, flush_seconds=0.2, poll_seconds=0.1, retry_seconds=0.5)
SMALL = ViewTraining(
    first_build_frames=12,
    rebuild_every_frames=10,
    window_frames=40,
    build=BuildSettings(
        geometry=Geometry(mode="squash", height_px=64, width_px=64), coreset_cap=64, probes=2, detection_plants=0
    ),
)


def picture(number: int, *, marked: bool = False) -> bytes:
    """A gray plate with a bright disc, and a red mark beside it; no two numbers give the same bytes."""
    rng = np.random.default_rng(number)
    image = np.full((96, 96, 3), 110.0)
    cv2.circle(image, (48, 48), 24, (200, 190, 180), -1)
    if marked:
        cv2.rectangle(image, (8, 8), (26, 26), (20, 20, 220), -1)
    noisy = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", noisy)[1].tobytes())


@dataclass
class Trainer:
    """A trainer process."""

    process: subprocess.Popen[bytes]

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(30)

    def send(self, how: signal.Signals) -> None:
        """Stop it, or let it go on."""
        self.process.send_signal(how)

    def children(self) -> list[int]:
        """The processes it started that run."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text(encoding="utf-8")
        return [int(pid) for pid in listed.split()]


@dataclass
class Line:
    """One view's stream on a real broker, and the store beside it."""

    kafka: KafkaSettings
    store: Path
    sent: int = 0
    trainers: list[Trainer] = field(default_factory=list)

    @classmethod
    def laid(cls, kafka: KafkaSettings, store: Path) -> Line:
        """A line whose topics exist."""
        create_topics(kafka, give_up_seconds=30)
        return cls(kafka, store)

    def trainer(
        self, settings: TrainerSettings = QUICK, training: ViewTraining = SMALL, *, instance: str = "0"
    ) -> Trainer:
        """Start a trainer."""
        kafka = self.kafka.model_copy(update={"instance_id": instance}).model_dump_json()
        arguments = [kafka, str(self.store), settings.model_dump_json(), training.model_dump_json()]
        command = [sys.executable, "-m", "tests.trainer.member", *arguments]
        with (self.store.parent / f"trainer-{instance}.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=dict(os.environ))
        self.trainers.append(Trainer(process))
        return self.trainers[-1]

    def close(self) -> None:
        """End what runs."""
        for trainer in self.trainers:
            if trainer.process.poll() is None:
                trainer.process.kill()
                trainer.process.wait(10)

    def send(self, count: int, *, view: str = VIEW) -> int:
        """The view's camera takes so many frames; returns the partition they are in."""
        numbers = range(self.sent, self.sent + count)
        self.sent += count
        return self.send_bytes([picture(number) for number in numbers], view=view)

    def send_bytes(self, values: list[bytes], *, view: str = VIEW) -> int:
        """Send records of `frames` as they are; returns their partition."""
        topic = self.kafka.topic("frames")
        with KafkaSender.open(self.kafka, writes=(topic,)) as sender:
            pending = [sender.send(Outgoing(topic, view.encode(), value)) for value in values]
            sender.flush(30)
            return pending[0].wait(0).partition.partition

    def command(self, command: Command) -> None:
        """Ask for something."""
        self._send_message(self.kafka.topic("commands"), command)

    def word(self, feedback: Feedback) -> None:
        """Say what a frame or a group is."""
        self._send_message(self.kafka.topic("feedback"), feedback)

    def states(self) -> list[BankState]:
        """Every bank state that was committed, in order."""
        return [BankState.from_bytes(value) for value in self._committed("banks")]

    def events(self) -> list[BankEvent]:
        """Every bank event that was committed, in order."""
        return [BankEvent.from_bytes(value) for value in self._committed("bank-events")]

    def window(self, view: str = VIEW) -> WindowIndex:
        """The view's window, as it is in the store."""
        windows = WindowStore(FsspecStore.open(str(self.store)))
        self.until(lambda: windows.load(view) is not None)  # the first flush may be on its way
        index = windows.load(view)
        assert index is not None
        return index

    def logged(self, instance: str = "0") -> str:
        """What a trainer has logged."""
        return (self.store.parent / f"trainer-{instance}.log").read_text(encoding="utf-8")

    def until(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait for something to be so; says what the trainers logged where it never is."""
        ends = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends or self._died():
                logs = "\n".join(log.read_text(encoding="utf-8")[-3000:] for log in self.store.parent.glob("*.log"))
                raise TimeoutError(f"not so after {seconds} s; states {self.states()}; logs:\n{logs}")
            time.sleep(0.2)

    def _send_message(self, topic: str, message: Command | Feedback) -> None:
        with KafkaSender.open(self.kafka, writes=(topic,)) as sender:
            sender.send_and_wait(Outgoing(topic, VIEW.encode(), message.to_bytes()))

    def _died(self) -> bool:
        return any((trainer.process.poll() or 0) > 0 for trainer in self.trainers)

    def _committed(self, topic: str) -> list[bytes]:
        name = {"banks": self.kafka.topic("banks"), "bank-events": self.kafka.topic("bank-events")}[topic]
        with WholeTopicReader.open(self.kafka, topics=[name], give_up_seconds=10) as reader:
            return [record.value or b"" for record in reader.read_to_end(20)]
