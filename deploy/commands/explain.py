"""`patchline explain`: why a bank scores a picture as it does."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from deploy.claimed_pictures import claims_of
from deploy.commands.options import Bootstrap, JsonFile, SetFlags, SettingsFile, load
from deploy.errors import CommandFailed, UsageError
from deploy.history.banks import find_bank, find_view, stored_banks, view_states
from deploy.history.named_frame import RECORD, picture_at, record_named
from deploy.offline.explain_image import Explanation, SourceFrames, explain_image
from deploy.offline.opened_bank import OpenedBank
from deploy.output.picture_file import write_picture
from deploy.output.reports import write_json
from deploy.pictures.explanation import render_explanation
from deploy.settings import Settings
from ingest.store import FsspecStore
from softpatch.bank import InvalidBank
from softpatch.images.decode import UndecodableImage

VERSION_START = re.compile(r"[0-9a-f]{4,64}")

Image = Annotated[
    str,
    typer.Argument(
        metavar="IMAGE", help="JPEG, PNG, BMP or TIFF; or [TOPIC:]PARTITION:OFFSET of a frame that Kafka still has."
    ),
]
BankName = Annotated[
    str | None,
    typer.Option(
        "--bank",
        metavar="BANK",
        help="A bank file, or the start of a version in the store. [dim]Of a frame: in force.[/]",
    ),
]
Frames = Annotated[
    Path | None,
    typer.Option("--frames", metavar="DIR", help="The folder that the bank was built from."),
]
ThresholdInForce = Annotated[
    float | None,
    typer.Option("--threshold", help="The threshold in force; without it, the one that the bank suggests."),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="PNG", help="The picture to draw.")]


@dataclass(frozen=True)
class NamedPicture:
    """What IMAGE means: the picture, what to call it, and of a frame the view it belongs to."""

    encoded: bytes
    name: str
    view: str | None = None


def explain(
    *,
    image: Image,
    out: Out,
    bank: BankName = None,
    frames: Frames = None,
    threshold: ThresholdInForce = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    bootstrap: Bootstrap = None,
    json: JsonFile = None,
) -> None:
    """Draw why a bank scores a picture as it does.

    The worst patches of the picture are drawn beside the most similar bank patches, and where those were learnt.
    Source frames come from --frames, from the view's window in the store while it holds them, or from the bank itself.
    """
    if threshold is not None and not threshold > 0:
        raise UsageError(f"--threshold {threshold:g} must be above 0")
    loaded = load(settings, flags, bootstrap=bootstrap)
    picture = _picture(loaded, image)
    try:
        bank_file, in_force = _bank_file(loaded, picture, bank)
        opened = OpenedBank.of(bank_file, loaded)
        sources = SourceFrames(opened, folder=frames, store=_existing_store(loaded.store.url))
        found = explain_image(picture.encoded, picture.name, opened, sources, threshold=threshold or in_force)
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
    write_json(json, {"image": image, "bank": found.version, **as_json(found)})


def _picture(loaded: Settings, image: str) -> NamedPicture:
    """The file, or else the frame of this name."""
    path = Path(image)
    if path.exists() or not RECORD.fullmatch(image):
        return NamedPicture(path.read_bytes(), "/".join(path.parts[-2:]))
    source = record_named(image, topics=loaded.kafka.frame_topics)
    if source is None:
        raise UsageError(f"{image} is neither a file nor PARTITION:OFFSET")
    frame = picture_at(loaded.kafka, claims_of(loaded), source)
    return NamedPicture(frame.encoded, frame.file_name or frame.frame_id, frame.view)


def _bank_file(loaded: Settings, picture: NamedPicture, bank: str | None) -> tuple[bytes, float | None]:
    """The bank's bytes, and the threshold in force where it is the one in force. Raises UsageError."""
    if bank is not None and Path(bank).exists():
        return Path(bank).read_bytes(), None
    if bank is not None and not VERSION_START.fullmatch(bank):
        raise UsageError(f"--bank {bank} is neither a file nor the start of a bank's version")
    if bank is None and picture.view is None:
        raise UsageError("of a file, name the bank: --bank FILE, or the start of a version")
    store = FsspecStore.open(loaded.store.url)
    if picture.view is None:
        return store.get(find_bank(stored_banks(store, {}, view=None), bank or "").path), None
    states = view_states(loaded)
    active = states[find_view(states, picture.view)].active
    if bank is None and active is None:
        raise UsageError(f"{picture.view} has no bank yet; name one: --bank FILE")
    wanted = bank or (active.version if active else "")
    stored = find_bank(stored_banks(store, states, view=picture.view), wanted)
    in_force = active is not None and active.version == stored.version
    return store.get(stored.path), active.threshold if active is not None and in_force else None


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
