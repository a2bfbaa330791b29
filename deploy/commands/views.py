"""`patchline views`: what views there are, and the end of one."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, ViewArgument, Why, load
from deploy.errors import UsageError
from deploy.history.banks import find_view, view_states
from deploy.history.view_list import ListedView, listed_views
from deploy.output.event_line import report_event
from deploy.output.reports import write_json
from deploy.trainer_commands import new_command, send_command
from ingest.command import CommandKind
from ingest.store import FsspecStore

Yes = Annotated[bool, typer.Option("--yes", help="Do it: banks, window and what is known of its frames are removed.")]


def list_views(
    *, settings: SettingsFile = None, flags: SetFlags = None, bootstrap: Bootstrap = None, json: JsonFile = None
) -> None:
    """List the views with their state, and when each last sent a frame that is in its window.

    The longest silent comes first.
    """
    loaded = load(settings, flags, bootstrap=bootstrap)
    views = listed_views(view_states(loaded), FsspecStore.open(loaded.store.url))
    Console().print(_table(views) if views else "No view has sent a frame yet.")
    write_json(json, {"views": [each.to_json() for each in views]})


def retire(
    *,
    view: ViewArgument,
    yes: Yes = False,
    why: Why = "by hand",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """End a view: remove its banks, its window, and what is known of its frames.

    Decisions and events stay. A frame of the view begins it anew.
    """
    if not yes:
        raise UsageError(f"retire removes the banks and the window of {view} for good: give --yes")
    loaded = load(settings, flags, bootstrap=bootstrap)
    find_view(view_states(loaded), view)
    report_event(send_command(loaded, new_command(CommandKind.RETIRE, view, why=why, at=datetime.now(UTC))), json)


def _table(views: list[ListedView]) -> Table:
    table = Table("view", "state", "window", "last frame kept", "bank", "since", "by")
    for each in views:
        last = "" if each.last_kept_at is None else f"{each.last_kept_at.astimezone():%Y-%m-%d %H:%M}"
        since = f"{each.state.at.astimezone():%Y-%m-%d %H:%M}"
        bank = "" if each.state.active is None else each.state.active.version[:12]
        table.add_row(
            each.state.view, each.state.state.value, str(each.window_frames), last, bank, since, each.state.by
        )
    return table
