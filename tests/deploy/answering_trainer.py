"""A trainer that only answers: it reads one command or feedback, and writes the events it was told to."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Self

from ingest.bank_event import BankEvent, BankEventKind
from ingest.command import Command
from ingest.feedback import Feedback
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing, Record

if TYPE_CHECKING:
    from deploy.settings import Settings
    from ingest.kafka.writers import KafkaSender

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
VIEW = "line-1/camera-1"


def event(
    command_id: str | None,
    kind: BankEventKind = BankEventKind.PINNED,
    *,
    view: str = VIEW,
    epoch: int = 1,
    bank_version: str | None = None,
) -> bytes:
    """A line of a view's history."""
    return BankEvent(
        view=view,
        kind=kind,
        epoch=epoch,
        bank_version=bank_version,
        command_id=command_id,
        who="ana",
        why="to see",
        at=AT,
    ).to_bytes()


class AnsweringTrainer:
    """Answers the next message with an event of each kind, in order, each an epoch later; use as a context manager."""

    def __init__(
        self,
        settings: Settings,
        sender: KafkaSender,
        *kinds: BankEventKind,
        view: str = VIEW,
        bank_version: str | None = None,
    ) -> None:
        self.heard: Command | Feedback | None = None
        self._settings = settings
        self._sender = sender
        self._kinds = kinds
        self._view = view
        self._bank_version = bank_version
        self._thread = Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _answer(self) -> None:
        self.heard = self._next_message()
        for epoch, kind in enumerate(self._kinds, start=1):
            answer = event(self.heard.id, kind, view=self._view, epoch=epoch, bank_version=self._bank_version)
            topic = self._settings.kafka.topic("bank-events")
            self._sender.send_and_wait(Outgoing(topic, self._view.encode(), answer))

    def _next_message(self) -> Command | Feedback:
        kafka = self._settings.kafka
        topics = [kafka.topic("commands"), kafka.topic("feedback")]
        with WholeTopicReader.open(kafka, topics=topics, give_up_seconds=10) as reader:
            ends, ready = time.monotonic() + 30, list[Record]()
            while not ready:
                assert time.monotonic() < ends, "nobody asked the trainer anything"
                ready = reader.poll(0.2)
        contract = Command if ready[0].topic == topics[0] else Feedback
        return contract.from_bytes(ready[0].value or b"")
