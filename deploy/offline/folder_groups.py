"""Groups in a bank of a folder: their pictures there, and the labels that a person gives them for the next build."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from deploy.errors import UsageError
from deploy.place_on_frame import group_place
from softpatch.building.labels import LabelledFrames
from softpatch.manifest import GroupLabel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from softpatch.bank import Bank
    from softpatch.manifest import GroupRecord

WORDS: Mapping[str, GroupLabel] = {label.replace("_", "-"): label for label in get_args(GroupLabel)}
"""Each label as the command line writes it."""


def labels_from(texts: Sequence[str]) -> dict[str, GroupLabel]:
    """The labels in `--label GROUP=WORD`, by the start of a group's id. Raises UsageError."""
    labels: dict[str, GroupLabel] = {}
    for text in texts:
        group, _, word = text.partition("=")
        if not group or word not in WORDS:
            raise UsageError(f"--label {text} gives no label: write GROUP=WORD with one of {', '.join(WORDS)}")
        labels[group] = WORDS[word]
    return labels


def labelled_frames(bank: Bank, labels: Mapping[str, GroupLabel], folder: Path) -> list[LabelledFrames]:
    """Every group of a bank as known frames for the next build, with these labels over those it had.

    Groups without a picture in the folder are left out. Raises UsageError where a label names no group, or such a one.
    """
    chosen = {_group(bank, start).id: label for start, label in labels.items()}
    found = []
    for group in bank.manifest.groups:
        frames = tuple(encoded for _, encoded in example_frames(folder, group))
        if frames:
            label = chosen.get(group.id, group.label)
            found.append(LabelledFrames(group.id, label, "group", group_place(group), frames))
        elif group.id in chosen:
            raise UsageError(f"{folder} has no picture of group {group.id}: name the folder that it was found in")
    return found


def example_frames(folder: Path, group: GroupRecord) -> list[tuple[str, bytes]]:
    """The group's examples, by file name within the folder, as far as they are there."""
    files = [(name, folder / name) for name in group.examples]
    return [(name, file.read_bytes()) for name, file in files if file.is_file()]


def _group(bank: Bank, start: str) -> GroupRecord:
    fitting = [group for group in bank.manifest.groups if group.id.startswith(start)]
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(group.id for group in bank.manifest.groups) or "none"
    raise UsageError(f"--label {start}: {len(fitting)} groups of the bank have such an id; it has {known}")
