"""What a button asks of the trainer: the same messages, on the same topics, as the command line writes."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from ingest.command import Command, CommandKind
from ingest.feedback import Feedback, FeedbackKind
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.decision import Decision
    from ingest.kafka.settings import KafkaSettings

GIVE_UP_SECONDS = 5.0

WORDS_ON_A_FRAME = (FeedbackKind.BAD, FeedbackKind.ESCAPED_DEFECT, FeedbackKind.FALSE_REJECT, FeedbackKind.GOOD)
ANSWERS = (
    FeedbackKind.GROUP_GOOD,
    FeedbackKind.GROUP_DEFECT,
    FeedbackKind.GROUP_NO_PART,
    FeedbackKind.GROUP_IGNORE,
)


def word_on(decision: Decision, kind: FeedbackKind, *, who: str, why: str, at: datetime) -> Feedback:
    """A person's word on the frame of a decision; of a false reject, on the places that were called wrong."""
    boxes = [region.box_xyxy_px for region in decision.regions] if kind is FeedbackKind.FALSE_REJECT else []
    box = None
    if boxes:
        left, top, right, bottom = zip(*boxes, strict=True)
        box = (min(left), min(top), max(right), max(bottom))
    return Feedback(
        id=str(uuid4()),
        view=decision.view,
        kind=kind,
        source=decision.source,
        decision_id=decision.id,
        box_xyxy_px=box,
        who=who,
        why=why,
        at=at,
    )


def word_on_group(view: str, annotation: str, kind: FeedbackKind, *, who: str, why: str, at: datetime) -> Feedback:
    """A person's answer to what a group of frames is, or the taking back of one."""
    return Feedback(id=str(uuid4()), view=view, kind=kind, annotation=annotation, who=who, why=why, at=at)


def bank_command(view: str, kind: CommandKind, version: str | None, *, who: str, why: str, at: datetime) -> Command:
    """A bank put in force, or the one before it put back."""
    return Command(id=str(uuid4()), view=view, kind=kind, bank_version=version, who=who, why=why, at=at)


class TrainerMessages:
    """Sends them, one at a time; it connects with the first one. Any thread may use it."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._sender: KafkaSender | None = None
        self._lock = Lock()

    def send(self, message: Command | Feedback) -> None:
        """Write a message and wait until the broker has it. Raises KafkaFailure."""
        topic = self._settings.topic("feedback" if isinstance(message, Feedback) else "commands")
        with self._lock:
            if self._sender is None:
                self._sender = KafkaSender.open(self._settings, writes=(topic,), give_up_seconds=GIVE_UP_SECONDS)
            self._sender.send_and_wait(Outgoing(topic, message.view.encode(), message.to_bytes()))

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            if self._sender is not None:
                self._sender.close()
