"""`patchline hold`, `release`, `pin` and `unpin`: whether a view learns, and what its new banks are held against."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.history.banks import find_bank, find_view, stored_banks, view_states
from deploy.output.event_line import report_event
from deploy.settings import Settings
from deploy.trainer_commands import new_command, send_command
from ingest.command import CommandKind
from ingest.store import FsspecStore

Version = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="The bank's version, or its start. [dim]In force.[/]")
]


def hold(
    *,
    view: ViewArgument,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Let a view learn nothing until it is released.

    Decisions go on by the bank in force; a build that runs is stopped.
    """
    _carry_out(load(settings, flags, bootstrap=bootstrap), CommandKind.HOLD, view, why, json)


def release(
    *,
    view: ViewArgument,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Let a held view learn again, by the bank in force."""
    _carry_out(load(settings, flags, bootstrap=bootstrap), CommandKind.RELEASE, view, why, json)


def pin(
    *,
    view: ViewArgument,
    version: Version = None,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Make a bank the reference that new ones are held against.

    Where most of what a new bank learnt fails by its reference, the gate refuses it. Its file is kept.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    whole = None
    if version is not None:
        whole = find_bank(stored_banks(FsspecStore.open(loaded.store.url), {}, view=view), version).version
    _carry_out(loaded, CommandKind.PIN, view, why, json, version=whole)


def unpin(
    *,
    view: ViewArgument,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Hold new banks of a view against no reference."""
    _carry_out(load(settings, flags, bootstrap=bootstrap), CommandKind.UNPIN, view, why, json)


def _carry_out(
    loaded: Settings, kind: CommandKind, view: str, why: str, json: JsonFile, *, version: str | None = None
) -> None:
    find_view(view_states(loaded), view)
    command = new_command(kind, view, why=why, at=datetime.now(UTC), version=version)
    report_event(send_command(loaded, command), json)
