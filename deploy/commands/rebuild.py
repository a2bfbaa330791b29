"""`patchline rebuild` and `patchline relearn`: a bank of a view now, and learning a view anew."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import UsageError
from deploy.history.banks import find_view, view_states
from deploy.output.event_line import report_event
from deploy.trainer_commands import ANSWER_SECONDS, new_command, send_command
from ingest.command import CommandKind

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
    event = send_command(loaded, command, seconds=ANSWER_SECONDS if cancel else BUILD_SECONDS)
    report_event(event, json)


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
