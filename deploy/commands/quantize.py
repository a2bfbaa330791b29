"""`patchline quantize`: the network in 8-bit integers, made from a line's pictures and tried on them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.offline.quantised_network import QuantisedNetwork, quantise_for_folder
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from softpatch.network.quantize import CannotQuantise

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Pictures: directly in it, or in MVTec layout (train).")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The ONNX file to write.")]
View = Annotated[str, typer.Option("--view", metavar="LINE/CAMERA", help="Whose pictures they are; decides settings.")]
MostChanged = Annotated[
    float,
    typer.Option(
        "--most-changed", min=0, max=1, help="Share of pictures, and of planted defects, that may be decided otherwise."
    ),
]


def quantize(
    *,
    folder: Folder,
    out: Out,
    view: View = "folder/camera-1",
    most_changed: MostChanged = 0.05,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Make the network compute in 8-bit integers, which a CPU with VNNI does faster.

    A third of a folder's pictures measure its layers. The others, with defects planted into them, are judged by both
    networks; where more than --most-changed of them are decided otherwise, nothing is written. Name the file in
    runtime.backbone: it is another network, and every view needs a new bank.
    """
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    out.parent.mkdir(parents=True, exist_ok=True)  # a file that cannot be written is reported before the work
    console = Console()
    try:
        made = quantise_for_folder(folder, load(settings, flags), view=view, step=ProgressDisplay(console).step)
    except CannotQuantise as error:
        raise CommandFailed(f"{error}; name another network in runtime.backbone") from error
    console.print(figures_table(made))
    taken = made.verdicts.changed_ratio <= most_changed
    write_json(json, facts_of(made, taken=taken))
    if not taken:
        raise CommandFailed(
            f"{made.verdicts.changed_ratio:.1%} are decided otherwise, more than --most-changed {most_changed:.1%}: "
            "nothing is written; stay with the network in fp32"
        )
    part = out.with_name(out.name + ".part")
    part.write_bytes(made.graph.model)
    part.replace(out)
    console.print(f"Next: runtime.backbone: {out} in the settings", soft_wrap=True, highlight=False)


def facts_of(made: QuantisedNetwork, *, taken: bool) -> dict[str, Any]:
    """The JSON document."""
    geometry = made.chosen.geometry
    return {
        "graph": made.graph.name,
        "graph_hash": made.graph.hash,
        "input_px": [geometry.width_px, geometry.height_px],
        "features": made.chosen.features,
        "embedding_error": made.embedding_error,
        "verdicts": asdict(made.verdicts) | {"changed_ratio": made.verdicts.changed_ratio},
        "frame_milliseconds": {"fp32": asdict(made.fp32), "int8": asdict(made.int8)},
        "taken": taken,
    }


def figures_table(made: QuantisedNetwork) -> Table:
    """The figures, for people."""
    geometry, verdicts = made.chosen.geometry, made.verdicts
    table = Table(
        title=f"{made.graph.name}, {geometry.width_px} x {geometry.height_px} px {made.chosen.features}",
        caption=f"Embeddings differ by {made.embedding_error:.1%} of their length; the scores' ranks correlate by "
        f"{verdicts.rank_correlation:.3f}",
        title_justify="left",
        caption_justify="left",
    )
    for name in ("", "fp32", "int8", "decided otherwise"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("planted defects found", *map(str, verdicts.found), f"{verdicts.plants_changed} of {verdicts.plants}")
    table.add_row("pictures", "", "", f"{verdicts.frames_changed} of {verdicts.frames}")
    for words, before, now in (
        ("network, a frame alone", made.fp32.alone, made.int8.alone),
        ("network, one of sixteen", made.fp32.together, made.int8.together),
    ):
        table.add_row(words, f"{before:.1f} ms", f"{now:.1f} ms", "")
    return table
