"""`patchline report`: a shift report as one HTML file."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import SetFlags, SettingsFile, ViewOption, load
from deploy.history.moments import moment_from
from ingest.store import FsspecStore
from monitoring.console.formats import zone_of
from monitoring.console.pictures import ConsolePictures, RecentBanks
from monitoring.console.report_file import report_html
from monitoring.console.shift_report import shift_report
from monitoring.record.database import Database
from monitoring.record.queries import RecordReader
from monitoring.shifts import hours_from, shift_of


class WhichShift(StrEnum):
    """The shift that a report is about."""

    LAST = "last"
    """The one that has ended."""
    THIS = "this"
    """The one that is running, so far."""


Shift = Annotated[WhichShift, typer.Option("--shift", help="The last whole shift, or this one so far.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Since 8h ago or a time, instead of a shift.")
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The HTML file.")]
LanguageOption = Annotated[str | None, typer.Option("--language", help="en, de or zh; without it, console.language.")]


def report(
    *,
    shift: Shift = WhichShift.LAST,
    view: ViewOption = None,
    since: Since = None,
    language: LanguageOption = None,
    out: Out = Path("shift-report.html"),
    settings: SettingsFile = None,
    flags: SetFlags = None,
) -> None:
    """Write a shift report as one HTML file with its pictures inside.

    Shifts begin at console.shifts; what is reported comes from the database that `patchline record` fills.
    """
    chosen = [*(flags or []), *([f"console.language={language}"] if language else [])]
    loaded = load(settings, chosen)
    zone, now = zone_of(loaded.console.time_zone), datetime.now(UTC)
    hours = hours_from(loaded.console.shifts)
    begin, end = shift_of(now, hours, zone), now
    if since is not None:
        begin = moment_from(since, now=now)
    elif shift is WhichShift.LAST:
        begin, end = shift_of(begin - timedelta(seconds=1), hours, zone), begin
    store = FsspecStore.open(loaded.store.url)
    with Database.open(loaded.record.database) as database:
        reader, pictures = RecordReader(database), ConsolePictures(store, RecentBanks(store), None)
        found = shift_report(reader, since=begin, until=end, view=view)
        out.write_text(
            report_html(found, reader, pictures, language=loaded.console.language, zone=zone, view=view),
            encoding="utf-8",
        )
    Console().print(
        f"{found.counts.total} decisions, {found.counts.failed} rejects in {len(found.kinds)} kinds: [bold]{out}[/]",
        soft_wrap=True,
        highlight=False,
    )
