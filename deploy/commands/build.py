"""`patchline build`: a bank from a folder of pictures, without Kafka."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy.commands.options import JsonFile, SetFlags, SettingsFile, load
from deploy.errors import UsageError
from deploy.history.annotations import frame_outside
from deploy.offline.build_folder import build_from_folder
from deploy.offline.folder_groups import example_frames, labelled_frames, labels_from
from deploy.output.bank_facts import bank_facts, group_words
from deploy.output.build_progress import BuildStages
from deploy.output.picture_file import write_picture
from deploy.output.progress import ProgressDisplay
from deploy.output.reports import write_json
from deploy.pictures.group_sheet import GroupFrame, group_frames, group_header, render_group
from deploy.place_on_frame import group_place
from softpatch.bank import Bank, bank_from_bytes, bank_version
from softpatch.building.labels import LabelledFrames
from softpatch.manifest import GroupLabel, GroupRecord

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Pictures: directly in it, or in MVTec layout (train).")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The bank file to write.")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="GROUP=WORD",
        help="What a group of the bank at --out is: good, defect, no-part, ignore or open; may be repeated.",
    ),
]
GroupsOut = Annotated[
    Path | None, typer.Option("--groups-out", metavar="DIR", help="Draw the groups there; else beside the bank.")
]
View = Annotated[str, typer.Option("--view", metavar="LINE/CAMERA", help="Whose bank it is; decides its settings.")]


def build(
    *,
    folder: Folder,
    out: Out,
    view: View = "folder/camera-1",
    label: Labels = None,
    groups_out: GroupsOut = None,
    settings: SettingsFile = None,
    flags: SetFlags = None,
    json: JsonFile = None,
) -> None:
    """Build a bank from a folder of pictures.

    Defective ones among them are found and left out as far as may be. Pictures that are alike among themselves and
    unlike the others are a group: it is shown, and not learnt. The same command with --label GROUP=good learns it,
    =defect keeps it out for ever, =no-part tells pictures without a part, =ignore leaves its place out; labels that the
    bank at --out has are kept then.
    """
    words = labels_from(label or [])
    out.parent.mkdir(parents=True, exist_ok=True)  # a file that cannot be written is reported before the work
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    console = Console()
    loaded = load(settings, flags)
    labels = _labelled(out, words, folder) if words else []
    with BuildStages(ProgressDisplay(console)) as stages:
        bank, data = build_from_folder(
            folder, loaded, view=view, at=datetime.now(UTC), progress=stages.report, labels=labels
        )
    out.write_bytes(data)
    threshold = bank.manifest.threshold
    console.print(
        f"[bold]{out}[/]: {len(bank.vectors)} patches from {len(bank.calibration_scores)} pictures, "
        f"threshold {threshold.value:.4g} ({threshold.interval_low:.4g} to {threshold.interval_high:.4g})",
        soft_wrap=True,
        highlight=False,
    )
    for remark in bank.manifest.remarks:
        console.print(f"[yellow]{remark}[/]", soft_wrap=True, highlight=False)
    if bank.manifest.groups:
        _print_groups(console, bank.manifest.groups)
        pictures = groups_out or out.with_name(f"{out.stem}-groups")
        _draw_groups(bank, folder, pictures, max_pixels=loaded.images.max_pixels)
        console.print(f"Pictures of the groups: [bold]{pictures}[/]", highlight=False, soft_wrap=True)
    console.print(f"Next: patchline score IMAGE --bank {out}", soft_wrap=True, highlight=False)
    limit = loaded.training_of(view).provisional_interval_ratio
    write_json(json, bank_facts(bank, bank_version(data), len(data), interval_ratio_limit=limit))


def _labelled(out: Path, words: Mapping[str, GroupLabel], folder: Path) -> list[LabelledFrames]:
    """The groups of the bank that is built anew, with these labels. Raises UsageError."""
    if not out.is_file():
        raise UsageError(
            f"--label names a group of the bank {out}, which does not exist: build it once without --label"
        )
    return labelled_frames(bank_from_bytes(out.read_bytes()), words, folder)


def _print_groups(console: Console, groups: Sequence[GroupRecord]) -> None:
    """A line for every group, and one for each of its examples."""
    for group in groups:
        console.print(f"Group {group_words(group)}", highlight=False, soft_wrap=True)
        for name in group.examples:
            console.print(f"  {name}", highlight=False, markup=False, soft_wrap=True)
    if any(group.label == "open" for group in groups):
        console.print("Open groups are not learnt: --label GROUP=good learns one, --label GROUP=defect never does.")


def _frames_of(members: Sequence[tuple[str, bytes]], bank: Bank, *, max_pixels: int) -> Sequence[GroupFrame]:
    if not members:
        return []
    return group_frames(members, frame_outside(bank), max_pixels=max_pixels, geometry=bank.manifest.geometry)


def _draw_groups(bank: Bank, folder: Path, out: Path, *, max_pixels: int) -> None:
    """A sheet for every group that still has pictures in the folder."""
    for group in bank.manifest.groups:
        members = example_frames(folder, group)
        frames = _frames_of(members, bank, max_pixels=max_pixels)
        if frames:
            title, place = f"Group {group.id}", group_place(group)
            header = group_header(
                title, bank.manifest.view, place, frames=group.frames, share=group.share, label=group.label
            )
            write_picture(out / f"{group.id}.png", render_group(header, frames, place))
