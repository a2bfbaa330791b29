"""`patchline build`: a bank from a folder of pictures, without Kafka."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import UsageError
from deploy.offline.build_folder import build_from_folder
from deploy.output.bank_facts import bank_facts
from deploy.output.build_progress import BuildStages
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from softpatch.bank import bank_version

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Pictures: directly in it, or in MVTec layout (train).")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The bank file to write.")]
View = Annotated[str, typer.Option("--view", metavar="LINE/CAMERA", help="Whose bank it is; decides its settings.")]


def build(
    *,
    folder: Folder,
    out: Out,
    view: View = "folder/camera-1",
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Build a bank from a folder of pictures.

    Defective ones among them are found and left out as far as may be.
    """
    out.parent.mkdir(parents=True, exist_ok=True)  # a file that cannot be written is reported before the work
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    console = Console()
    loaded = load(settings, flags)
    with BuildStages(ProgressDisplay(console)) as stages:
        bank, data = build_from_folder(folder, loaded, view=view, at=datetime.now(UTC), progress=stages.report)
    out.write_bytes(data)
    threshold = bank.manifest.threshold
    console.print(
        f"[bold]{out}[/]: {len(bank.vectors)} patches from {len(bank.manifest.frame_names)} pictures, "
        f"threshold {threshold.value:.4g} ({threshold.interval_low:.4g} to {threshold.interval_high:.4g})",
        soft_wrap=True,
        highlight=False,
    )
    console.print(f"Next: patchline score IMAGE --bank {out}", soft_wrap=True, highlight=False)
    limit = loaded.training_of(view).provisional_interval_ratio
    write_json(json, bank_facts(bank, bank_version(data), len(data), interval_ratio_limit=limit))
