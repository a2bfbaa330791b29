"""`patchline export`: the history as a file for other programs."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import SetFlags, SettingsFile, ViewOption, load
from deploy.errors import UsageError
from deploy.history.moments import moment_from
from monitoring.record.database import Database
from monitoring.record.export import CsvFile, ParquetFile, RowFile, exported

KINDS: Mapping[str, Callable[[Path], RowFile]] = {".csv": CsvFile, ".parquet": ParquetFile}

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet file.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="Since 8h, 7d ago, or an RFC 3339 time.")]
Until = Annotated[str, typer.Option("--until", metavar="TIME", help="Until then; without it, until now.")]


def export(
    *,
    out: Out,
    view: ViewOption = None,
    since: Since = "24h",
    until: Until = "0s",
    settings: SettingsFile = None,
    flags: SetFlags = None,
) -> None:
    """Write recorded decisions to a CSV or Parquet file.

    They come from the database that `patchline record` fills.
    """
    if out.suffix not in KINDS:
        raise UsageError(f"--out {out} must end in .csv or .parquet")
    now = datetime.now(UTC)
    begin, end = moment_from(since, now=now), moment_from(until, now=now)
    with Database.open(load(settings, flags).record.database) as database, KINDS[out.suffix](out) as file:
        count = exported(database, file, view=view, since=begin, until=end)
    Console().print(f"{count} decisions: [bold]{out}[/]", soft_wrap=True, highlight=False)
