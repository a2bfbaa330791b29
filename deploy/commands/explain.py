"""`patchline explain`: why a bank says what it says of a picture."""

from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from rich.console import Console

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.offline.explain_image import Explanation, explain_image
from deploy.output.reports import write_json
from deploy.pictures.explanation import render_explanation
from ingest.store import FsspecStore
from softpatch.bank import InvalidBank, bank_version
from softpatch.images.decode import UndecodableImage

Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="JPEG, PNG, BMP or TIFF.")]
BankFile = Annotated[Path, typer.Option("--bank", metavar="FILE", help="A bank file; patchline build makes one.")]
Frames = Annotated[
    Path | None,
    typer.Option("--frames", metavar="DIR", help="The folder that the bank was built from."),
]
Threshold = Annotated[
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
    threshold: Threshold = None,
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
    loaded, data = load(settings, flags), bank.read_bytes()
    try:
        found = explain_image(
            image.read_bytes(),
            "/".join(image.parts[-2:]),
            data,
            bank_version(data),
            loaded.runtime,
            folder=frames,
            store=FsspecStore.open(loaded.store.url)
            if Path(loaded.store.url).exists() or "://" in loaded.store.url
            else None,
            threshold=threshold,
        )
    except InvalidBank as error:
        raise CommandFailed(f"{bank}: {error}") from None
    except UndecodableImage as error:
        raise CommandFailed(f"{image}: {error}") from None
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        written = cv2.imwrite(str(out), cv2.cvtColor(render_explanation(found), cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise CommandFailed(f"cannot write {out}; name a .png in a folder you may write to")
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
    """What a script learns of it."""
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
