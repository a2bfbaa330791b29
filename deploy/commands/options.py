"""Options that several commands share, and what they mean."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.settings import Settings, read_settings
from ingest.view import merged

DEFAULT_FILE = Path("patchline.yaml")

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings", "-s", metavar="FILE", help="Settings. [dim]Without it: patchline.yaml, if this folder has one.[/]"
    ),
]
SetFlags = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One setting, over file and environment; may be repeated."),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the outcome there as JSON, for scripts.")
]
ViewArgument = Annotated[str, typer.Argument(metavar="VIEW", help="line/camera, or line/camera@product.")]
ViewOption = Annotated[str | None, typer.Option("--view", metavar="LINE/CAMERA", help="Only this view.")]
Why = Annotated[str, typer.Option("--why", help="Why; it is kept in the view's history.")]

BankFile = Annotated[Path, typer.Option("--bank", metavar="FILE", help="A bank file; patchline build makes one.")]

Bootstrap = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="A Kafka broker, over the one in the settings."),
]


def settings_file(given: Path | None) -> Path | None:
    """The file that was named, or patchline.yaml in this folder, or none."""
    return given or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)


def load(
    file: Path | None,
    flags: list[str] | None,
    *,
    bootstrap: str | None = None,
    over: dict[str, Any] | None = None,
) -> Settings:
    """The settings of a command. Raises UsageError."""
    fixed: dict[str, Any] = {"kafka": {"bootstrap_servers": bootstrap}} if bootstrap else {}
    return read_settings(settings_file(file), os.environ, flags or (), over=merged(fixed, over or {}))
