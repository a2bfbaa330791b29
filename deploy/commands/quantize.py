"""`patchline quantize`: the network in 8-bit integers, made from a line's pictures and tried on them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.offline.quantised_network import QuantisedNetwork, quantise_for_folders
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from softpatch.network.quantize import CannotQuantise

Folders = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", help="One for each line: pictures directly in it, or MVTec layout (train)."),
]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The ONNX file to write.")]
View = Annotated[str, typer.Option("--view", metavar="LINE/CAMERA", help="Whose pictures they are; decides settings.")]
MostChanged = Annotated[
    float,
    typer.Option(
        "--most-changed",
        min=0,
        max=1,
        help="Share of a line's pictures, and of planted defects, that may be decided otherwise.",
    ),
]
MostLost = Annotated[
    float,
    typer.Option(
        "--most-lost", min=0, max=1, help="How much lower the AUROC of planted defects may be, against good pictures."
    ),
]


def quantize(
    *,
    folders: Folders,
    out: Out,
    view: View = "folder/camera-1",
    most_changed: MostChanged = 0.05,
    most_lost: MostLost = 0.01,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Make the network compute in 8-bit integers, which a CPU with VNNI does faster.

    A third of every folder's pictures measure its layers. The others, with defects planted into them, are judged by
    both networks; where more than --most-changed of a folder's are decided otherwise, or their AUROC falls by more than
    --most-lost, nothing is written. Give a folder for every line that the network is for, and name the file in
    runtime.backbone: it is another network, and every view needs a new bank.
    """
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    out.parent.mkdir(parents=True, exist_ok=True)  # a file that cannot be written is reported before the work
    console = Console()
    try:
        made = quantise_for_folders(folders, load(settings, flags), view=view, step=ProgressDisplay(console).step)
    except CannotQuantise as error:
        raise CommandFailed(f"{error}; name another network in runtime.backbone") from error
    console.print(figures_table(made))
    reasons = _reasons(made, most_changed=most_changed, most_lost=most_lost)
    write_json(json, facts_of(made, taken=not reasons))
    if reasons:
        raise CommandFailed(f"{', and '.join(reasons)}: nothing is written; stay with the network in fp32")
    part = out.with_name(out.name + ".part")
    part.write_bytes(made.graph.model)
    part.replace(out)
    console.print(f"Next: runtime.backbone: {out} in the settings", soft_wrap=True, highlight=False)


def _reasons(made: QuantisedNetwork, *, most_changed: float, most_lost: float) -> list[str]:
    """Why this network is not taken; none where it is."""
    reasons = []
    if made.changed_ratio > most_changed:
        reasons.append(f"{made.changed_ratio:.1%} are decided otherwise, more than --most-changed {most_changed:.1%}")
    if made.auroc_loss > most_lost:
        reasons.append(
            f"the AUROC of planted defects falls by {made.auroc_loss:.3f}, more than --most-lost {most_lost:g}"
        )
    return reasons


def facts_of(made: QuantisedNetwork, *, taken: bool) -> dict[str, Any]:
    """The JSON document."""
    return {
        "graph": made.graph.name,
        "graph_hash": made.graph.hash,
        "changed_ratio": made.changed_ratio,
        "auroc_loss": made.auroc_loss,
        "taken": taken,
        "folders": [
            {
                "folder": str(each.folder),
                "input_px": [each.chosen.geometry.width_px, each.chosen.geometry.height_px],
                "features": each.chosen.features,
                "embedding_error": each.embedding_error,
                "verdicts": asdict(each.verdicts) | {"changed_ratio": each.verdicts.changed_ratio},
                "frame_milliseconds": {"fp32": asdict(each.fp32), "int8": asdict(each.int8)},
            }
            for each in made.trials
        ],
    }


def figures_table(made: QuantisedNetwork) -> Table:
    """A column for each folder, for people."""
    table = Table(title=made.graph.name, title_justify="left")
    table.add_column("fp32 -> int8")
    columns = []
    for each in made.trials:
        geometry, verdicts = each.chosen.geometry, each.verdicts
        table.add_column(each.folder.name, justify="right")
        columns.append(
            [
                f"{geometry.width_px} x {geometry.height_px} px {each.chosen.features}",
                f"{each.embedding_error:.1%}",
                f"{verdicts.rank_correlation:.3f}",
                f"{verdicts.found[0]} -> {verdicts.found[1]}",
                f"{verdicts.auroc[0]:.3f} -> {verdicts.auroc[1]:.3f}",
                f"{verdicts.plants_changed} of {verdicts.plants}",
                f"{verdicts.frames_changed} of {verdicts.frames}",
                f"{each.fp32.alone:.1f} -> {each.int8.alone:.1f} ms",
                f"{each.fp32.together:.1f} -> {each.int8.together:.1f} ms",
            ]
        )
    words = (
        "input",
        "embeddings differ by",
        "correlation of ranks",
        "planted defects found",
        "their AUROC",
        "of these decided otherwise",
        "pictures decided otherwise",
        "network, a frame alone",
        "network, one of sixteen",
    )
    for row in zip(words, *columns, strict=True):
        table.add_row(*row)
    return table
