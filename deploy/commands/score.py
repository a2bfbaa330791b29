"""`patchline score`: what a bank says of a picture, without Kafka."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed
from deploy.offline.score_image import overlay_of, score_image
from deploy.output.reports import write_json
from softpatch.bank import InvalidBank
from softpatch.images.decode import UndecodableImage

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG, BMP or TIFF.")]
BankFile = Annotated[Path, typer.Option("--bank", metavar="FILE", help="A bank file; patchline build makes one.")]
Overlay = Annotated[
    Path | None, typer.Option("--overlay", metavar="PNG", help="Write the picture under its heat map there.")
]


def score(
    *,
    image: Image,
    bank: BankFile,
    overlay: Overlay = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Score pictures: score, threshold, verdict, and where they look wrong."""
    try:
        scored = score_image(_read(image), _read(bank), load(settings, flags).runtime)
    except InvalidBank as error:
        raise CommandFailed(f"{bank}: {error}") from None
    except UndecodableImage as error:
        raise CommandFailed(f"{image}: {error}") from None
    console = Console()
    colour = "red" if scored.verdict == "fail" else "green"
    console.print(
        f"[bold {colour}]{scored.verdict.upper()}[/]  score {scored.score:.4g}, threshold {scored.threshold:.4g}, "
        f"ratio {scored.score / scored.threshold:.2f}",
        highlight=False,
    )
    for box, peak in scored.regions:
        console.print(
            f"  x {box[0]} to {box[2]}, y {box[1]} to {box[3]} px: {peak / scored.threshold:.2f}", highlight=False
        )
    if overlay is not None:
        overlay_of(scored, overlay)
        console.print(f"Heat map: [bold]{overlay}[/]", soft_wrap=True)
    write_json(json, {"image": str(image), "bank": str(bank), **scored.to_json()})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror}") from None
