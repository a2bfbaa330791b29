"""`patchline backup` and `patchline restore`: a copy of the topics that are kept for ever, and of the store."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from deploy.backup import Copied, back_up
from deploy.backup import restore as put_back
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.output.reports import write_json
from ingest.store import FsspecStore

To = Annotated[
    str, typer.Argument(metavar="FOLDER", help="A new folder, or an address such as s3://bucket/2026-11-28.")
]
From = Annotated[str, typer.Argument(metavar="FOLDER", help="Where the backup lies.")]
Pictures = Annotated[bool, typer.Option("--pictures/--no-pictures", help="With the pictures of the history.")]


def backup(
    *,
    folder: To,
    pictures: Pictures = True,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Copy the topics that are kept for ever, and the store.

    The services may go on meanwhile. Frames, decisions and the recorder's database are not copied.
    """
    loaded, console = load(settings, flags, bootstrap=bootstrap), Console()
    store, to, now = FsspecStore.open(loaded.store.url), FsspecStore.open(folder), datetime.now(UTC)
    _report(back_up(loaded.kafka, store, to, pictures=pictures, at=now, told=console.print), json, console)


def restore(
    *,
    folder: From,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Put a backup back, into topics that are empty and where files are missing.

    Make the topics first (patchline topics create), and start the services afterwards.
    """
    loaded, console = load(settings, flags, bootstrap=bootstrap), Console()
    store, source = FsspecStore.open(loaded.store.url), FsspecStore.open(folder)
    _report(put_back(loaded.kafka, store, source, told=console.print), json, console)


def _report(copied: Copied, json: JsonFile, console: Console) -> None:
    records = ", ".join(f"{name}: {count}" for name, count in copied.records.items())
    console.print(f"Copied {copied.files} files; records of {records or 'no topic'}.", highlight=False)
    if copied.left_alone:
        console.print(f"Left alone, for something was there: {len(copied.left_alone)} topics and files.")
    write_json(json, copied.to_json())
