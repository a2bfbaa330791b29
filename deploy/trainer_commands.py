"""Commands to the trainer from a terminal: made, sent, and waited for until the trainer answers with an event."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from deploy.errors import CommandFailed
from ingest.bank_event import BankEvent, BankEventKind
from ingest.command import Command, CommandKind
from ingest.contract import BadMessage
from ingest.kafka.readers import WholeTopicReader
from ingest.kafka.records import Outgoing
from ingest.kafka.writers import KafkaSender

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from deploy.settings import Settings
    from ingest.kafka.records import Record

ANSWER_SECONDS = 30.0
GIVE_UP_SECONDS = 10.0


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
    return Command.model_validate(
        {
            "id": str(uuid4()),
            "view": view,
            "kind": kind,
            "bank_version": version,
            "who": who or getpass.getuser(),
            "why": why,
            "at": at,
            **(limits or {}),
        }
    )


def send_command(settings: Settings, command: Command, *, seconds: float = ANSWER_SECONDS) -> BankEvent:
    """Send a command to the trainer and wait for the event that answers it.

    Raises:
        CommandFailed: the trainer refused, with its reason, or did not answer in time.
    """
    events = settings.kafka.topic("bank-events")
    with WholeTopicReader.open(settings.kafka, topics=[events], give_up_seconds=GIVE_UP_SECONDS) as reader:
        reader.skip_to_last(0)  # events are kept for ever: reading them all would take longer every year
        commands = settings.kafka.topic("commands")
        with KafkaSender.open(settings.kafka, writes=(commands,), give_up_seconds=GIVE_UP_SECONDS) as sender:
            sender.send_and_wait(Outgoing(commands, command.view.encode(), command.to_bytes()))
        answer = _answer(reader, command.id, seconds)
    if answer is None:
        raise CommandFailed(
            f"no answer within {seconds:g} s; is a trainer running? It will carry the command out when it is"
        )
    if answer.kind in (BankEventKind.COMMAND_REFUSED, BankEventKind.BUILD_FAILED):
        raise CommandFailed(f"the trainer refused to {command.kind.value}: {answer.why}")
    return answer


def _answer(reader: WholeTopicReader, command_id: str, seconds: float) -> BankEvent | None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for record in reader.poll(0.2):
            event = _event(record)
            if event is not None and event.command_id == command_id:
                return event
    return None


def _event(record: Record) -> BankEvent | None:
    """The event in a record; one of a newer release is none of ours."""
    try:
        return BankEvent.from_bytes(record.value or b"")
    except BadMessage:
        return None
