"""`patchline explain`: why a bank scores a picture as it does."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.commands.options import BankFile, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.offline.explain_image import Explanation, SourceFrames, explain_image
from deploy.offline.opened_bank import OpenedBank
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.pictures.explanation import render_explanation
from ingest.store import FsspecStore
from softpatch.bank import InvalidBank
from softpatch.images.decode import UndecodableImage

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG, BMP or TIFF.")]
Frames = Annotated[
    Path | None,
    typer.Option("--frames", metavar="DIR", help="The folder that the bank was built from."),
]
ThresholdInForce = Annotated[
    float | None,
    typer.Option("--threshold", help="The threshold in force; without it, the one that the bank suggests."),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="PNG", help="The picture to draw.")]


def explain(
    *,
    image: Image,
    bank: BankFile,
    out: Out,
    frames: Frames = None,
    threshold: ThresholdInForce = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Draw why a bank scores a picture as it does.

    The worst patches of the picture are drawn beside the most similar bank patches, and where those were learnt.
    Source frames come from --frames, from the view's window in the store while it holds them, or from the bank itself.
    """
    if threshold is not None and not threshold > 0:
        raise UsageError(f"--threshold {threshold:g} must be above 0")
    loaded = load(settings, flags)
    try:
        opened = OpenedBank.of(bank.read_bytes(), loaded)
        sources = SourceFrames(opened, folder=frames, store=_existing_store(loaded.store.url))
        found = explain_image(image.read_bytes(), "/".join(image.parts[-2:]), opened, sources, threshold=threshold)
    except InvalidBank as error:
        raise CommandFailed(f"{bank}: {error}") from None
    except UndecodableImage as error:
        raise CommandFailed(f"{image}: {error}") from None
    write_picture(out, render_explanation(found))
    console = Console()
    console.print(
        f"{image}: {found.ratio:.2f} of the {found.threshold_words}. Drawn: [bold]{out}[/]",
        soft_wrap=True,
        highlight=False,
    )
    write_json(json, {"image": str(image), "bank": str(bank), **as_json(found)})


def _existing_store(url: str) -> FsspecStore | None:
    """The store of the settings; None where it is a folder that does not exist, which opening it would make."""
    return FsspecStore.open(url) if "://" in url or Path(url).exists() else None


def as_json(found: Explanation) -> dict[str, Any]:
    """The figures, without pixels."""
    patches = [
        {
            "position": each.position,
            "score_ratio": each.ratio,
            "distance": each.distance,
            "source_frame": each.source_name,
            "source_position": each.source_position,
            "source_frame_found": each.source is not None,
        }
        for each in found.patches
    ]
    return {"score_ratio": found.ratio, "threshold": found.threshold, "patches": patches}
