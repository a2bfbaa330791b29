"""Commands and feedback to the trainer from a terminal: made, sent, and waited for until an event answers."""

from __future__ import annotations

import getpass
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from deploy.errors import CommandFailed, UsageError
from ingest.bank_event import BankEvent, BankEventKind
from ingest.command import Command, CommandKind
from ingest.contract import BadMessage
from ingest.feedback import Feedback, FeedbackKind
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from deploy.settings import Settings
    from ingest.contract import SourceRecord
    from ingest.kafka.records import Record

M = TypeVar("M", Command, Feedback)

ANSWER_SECONDS = 30.0

REFUSALS = frozenset({BankEventKind.COMMAND_REFUSED, BankEventKind.FEEDBACK_REFUSED})


def new_command(
    kind: CommandKind,
    view: str,
    *,
    why: str,
    at: datetime,
    version: str | None = None,
    who: str | None = None,
    limits: Mapping[str, float] | None = None,
) -> Command:
    """A command by the person at this terminal; `limits` are the fields that set a threshold."""
    return _message(
        Command,
        {
            "id": str(uuid4()),
            "view": view,
            "kind": kind,
            "bank_version": version,
            "who": who or getpass.getuser(),
            "why": why,
            "at": at,
            **(limits or {}),
        },
    )


def new_feedback(
    kind: FeedbackKind,
    view: str,
    *,
    why: str,
    at: datetime,
    source: SourceRecord | None = None,
    decision_id: str | None = None,
    annotation: str | None = None,
    box_xyxy_px: tuple[float, float, float, float] | None = None,
) -> Feedback:
    """The word of the person at this terminal on a frame (`source`) or on an annotation."""
    return _message(
        Feedback,
        {
            "id": str(uuid4()),
            "view": view,
            "kind": kind,
            "source": source,
            "decision_id": decision_id,
            "annotation": annotation,
            "box_xyxy_px": box_xyxy_px,
            "who": getpass.getuser(),
            "why": why,
            "at": at,
        },
    )


def _message(kind: type[M], fields: Mapping[str, object]) -> M:
    """Raises UsageError where what the person wrote breaks the contract: too long a reason, say."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or kind.__name__.lower()
        raise UsageError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from None


def send_command(settings: Settings, command: Command, *, seconds: float = ANSWER_SECONDS) -> BankEvent:
    """Send a command to the trainer and wait for the event that answers it.

    Raises:
        CommandFailed: the trainer refused, with its reason, or did not answer in time.
    """
    with TrainerRequest.sent(settings, command) as request:
        return request.answer(seconds, what=command.kind.value)


def send_feedback(settings: Settings, feedback: Feedback, *, seconds: float = ANSWER_SECONDS) -> BankEvent:
    """Send a person's word to the trainer and wait for the event that answers it. Raises CommandFailed as above."""
    with TrainerRequest.sent(settings, feedback) as request:
        return request.answer(seconds, what=feedback.kind.value)


class TrainerRequest:
    """A command or a feedback that was sent, and the bank events since; use it as a context manager."""

    def __init__(self, reader: WholeTopicReader, message: Command | Feedback) -> None:
        self._reader = reader
        self._message = message
        self._read: list[BankEvent] = []

    @classmethod
    @contextmanager
    def sent(cls, settings: Settings, message: Command | Feedback) -> Iterator[Self]:
        """Send a message to its topic; events are read from before it was sent on."""
        kafka, patience = settings.kafka, settings.kafka.give_up_seconds
        events = kafka.topic("bank-events")
        to = kafka.topic("feedback" if isinstance(message, Feedback) else "commands")
        with WholeTopicReader.open(kafka, topics=[events], give_up_seconds=patience) as reader:
            reader.skip_to_last(0)  # events are kept for ever: reading them all would take longer every year
            with KafkaSender.open(kafka, writes=(to,), give_up_seconds=patience) as sender:
                sender.send_and_wait(Outgoing(to, message.view.encode(), message.to_bytes()))
            yield cls(reader, message)

    def answer(self, seconds: float, *, what: str) -> BankEvent:
        """The event that answers the message. Raises CommandFailed where it refuses `what`, or none comes in time."""
        found = self.first(lambda event: event.command_id == self._message.id, seconds)
        if found is None:
            raise CommandFailed(
                f"no answer within {seconds:g} s; is a trainer running? It will carry the command out when it is"
            )
        if found.kind is BankEventKind.BUILD_FAILED:
            raise CommandFailed(f"the build failed: {found.why}")
        if found.kind in REFUSALS:
            raise CommandFailed(f"the trainer refused to {what.replace('_', ' ')}: {found.why}")
        return found

    def first(self, fits: Callable[[BankEvent], bool], seconds: float) -> BankEvent | None:
        """The first event of the view that fits, of those that came since the message was sent; None in that time."""
        ends = time.monotonic() + seconds
        found = next(filter(fits, self._read), None)
        while found is None and time.monotonic() < ends:
            came = [event for record in self._reader.poll(0.2) if (event := self._event(record)) is not None]
            self._read += came
            found = next(filter(fits, came), None)
        return found

    def _event(self, record: Record) -> BankEvent | None:
        """The event of the view in a record; one of a newer release is none of ours."""
        try:
            event = BankEvent.from_bytes(record.value or b"")
        except BadMessage:
            return None
        return event if event.view == self._message.view else None
