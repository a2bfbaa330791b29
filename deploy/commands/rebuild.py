"""`patchline rebuild` and `patchline relearn`: a bank of a view now, and learning a view anew."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import CommandFailed, UsageError
from deploy.history.banks import find_view, view_states
from deploy.output.event_line import report_event
from deploy.trainer_commands import ANSWER_SECONDS, TrainerRequest, new_command, send_command
from ingest.bank_event import BankEvent, BankEventKind
from ingest.command import Command, CommandKind

Yes = Annotated[bool, typer.Option("--yes", help="Do it: the window is forgotten.")]

BUILD_SECONDS = 600.0
"""For the builds of other views that come first, and for this one."""


Cancel = Annotated[bool, typer.Option("--cancel", help="Stop the build that runs or was asked for.")]


def rebuild(
    *,
    view: ViewArgument,
    cancel: Cancel = False,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Build a bank of a view now, and wait for it.

    From the frames of its window, as they are; the bank is examined, and comes into force, as any other.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    find_view(view_states(loaded), view)
    kind = CommandKind.CANCEL_BUILD if cancel else CommandKind.REBUILD
    command = new_command(kind, view, why=why, at=datetime.now(UTC))
    with TrainerRequest.sent(loaded, command) as request:
        event = request.answer(
            ANSWER_SECONDS if cancel else BUILD_SECONDS, what="cancel the build" if cancel else "build"
        )
        if event.kind is BankEventKind.BUILT:
            event = request.first(lambda each: _follows(each, command), ANSWER_SECONDS) or event
    report_event(event, json)
    if event.kind is BankEventKind.REFUSED:
        raise CommandFailed(f"the bank is not in force: {event.why}")


def _follows(event: BankEvent, command: Command) -> bool:
    """Whether it says what became of the bank that was built for a command."""
    outcomes = (BankEventKind.PROMOTED, BankEventKind.GATED, BankEventKind.REFUSED)
    return event.command_id == command.id and event.kind in outcomes


def relearn(
    *,
    view: ViewArgument,
    yes: Yes = False,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Forget a view's window and its bank, and learn it anew.

    Every frame is undecided until enough new ones came for a first bank. Words of people and the threshold stay.
    `patchline bank rollback` puts the bank back in force that decided until then.
    """
    if not yes:
        raise UsageError(
            f"relearn forgets the window of {view}, and its frames are undecided until it has learnt anew: give --yes; "
            "patchline rebuild builds from the window as it is"
        )
    loaded = load(settings, flags, bootstrap=bootstrap)
    find_view(view_states(loaded), view)
    event = send_command(loaded, new_command(CommandKind.RELEARN, view, why=why, at=datetime.now(UTC)))
    report_event(event, json)
