"""Actions: what people say of frames and groups, and banks put in force. Each says who, and shows its answer."""

from datetime import timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ingest.bank_event import BankEventKind
from ingest.command import Command, CommandKind
from ingest.feedback import Feedback, FeedbackKind
from ingest.kafka.errors import KafkaFailure
from monitoring.console.context import (
    CheckedForm,
    Looker,
    NotAllowed,
    NotThere,
    Visitor,
    console_of,
)
from monitoring.console.rendering import page
from monitoring.console.requests_to_trainer import ANSWERS, WORDS_ON_A_FRAME, bank_command, word_on, word_on_group
from monitoring.console.roles import Role
from monitoring.record.schema import moment_of

router = APIRouter()


BANK_COMMANDS = (CommandKind.PROMOTE, CommandKind.ROLLBACK)
REFUSALS = (BankEventKind.COMMAND_REFUSED, BankEventKind.FEEDBACK_REFUSED)
PATIENCE = timedelta(seconds=30)


def _named(visitor: Visitor, role: Role) -> str:
    """The name of a person who may do this. Raises NotAllowed."""
    if visitor.name is None or not visitor.may(role):
        raise NotAllowed
    return visitor.name


@router.post("/part/{at}/{key}/word")
def word(request: Request, at: int, key: str, form: CheckedForm, visitor: Looker) -> HTMLResponse:
    """A person's word on one frame."""
    who = _named(visitor, Role.OPERATOR)
    console = console_of(request)
    found = console.reader.decision(moment_of(at), key)
    kind = form.get("kind", "")
    if found is None or kind not in WORDS_ON_A_FRAME:
        raise NotThere
    why = form.get("why", "").strip() or "on the console"
    message = word_on(found.decision, FeedbackKind(kind), who=who, why=why, at=console.clock())
    return _sent(request, message)


@router.post("/group")
def group(request: Request, form: CheckedForm, visitor: Looker) -> HTMLResponse:
    """An answer to what a group of frames is, or taking it back."""
    who = _named(visitor, Role.OPERATOR)
    kind, view, annotation = (form.get(name, "") for name in ("kind", "name", "annotation"))
    if kind not in (*ANSWERS, FeedbackKind.UNDO) or not view or not annotation:
        raise NotThere
    why = form.get("why", "").strip() or "on the console"
    now = console_of(request).clock()
    return _sent(request, word_on_group(view, annotation, FeedbackKind(kind), who=who, why=why, at=now))


@router.post("/bank")
def bank(request: Request, form: CheckedForm, visitor: Looker) -> HTMLResponse:
    """A bank put in force, or the one before it put back."""
    who = _named(visitor, Role.ENGINEER)
    kind, view, version = (form.get(name, "") for name in ("kind", "name", "version"))
    if kind not in BANK_COMMANDS or not view:
        raise NotThere
    why = form.get("why", "").strip() or "on the console"
    now = console_of(request).clock()
    return _sent(request, bank_command(view, CommandKind(kind), version or None, who=who, why=why, at=now))


@router.get("/answer/{message_id}")
def answer(request: Request, message_id: str, name: str, sent: int, visitor: Looker) -> HTMLResponse:
    """What the trainer made of a message, once it is in the history."""
    _named(visitor, Role.OPERATOR)
    console = console_of(request)
    event = console.reader.answer_to(name, message_id)
    late = event is None and console.clock() - moment_of(sent) > PATIENCE
    return page(
        request,
        "_answer.html",
        message_id=message_id,
        name=name,
        sent=sent,
        event=event,
        refused=event is not None and event.kind in REFUSALS,
        late=late,
        failed=None,
    )


def _sent(request: Request, message: Command | Feedback) -> HTMLResponse:
    failed = None
    try:
        console_of(request).messages.send(message)
    except KafkaFailure as error:
        failed = str(error)
    return page(
        request,
        "_answer.html",
        message_id=message.id,
        name=message.view,
        sent=_microseconds(message),
        event=None,
        refused=False,
        late=False,
        failed=failed,
    )


def _microseconds(message: Command | Feedback) -> int:
    return int(message.at.timestamp() * 1_000_000)
