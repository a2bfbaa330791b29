"""Frames with a label: what a person said of them, or a group that an earlier build found in them.

They are read behind the window's own frames and take part in its build, so that a group is recognised again: a group of
the window that holds frames of an earlier one is that group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from softpatch.building.window import UsableFrames
from softpatch.images.geometry import WHOLE_FRAME, Geometry, box_cells
from softpatch.manifest import GroupLabel

MOST_EXEMPLARS = 64
"""Labelled frames that are read along with a window; of each label the first ones, in turn."""


@dataclass(frozen=True)
class LabelledFrames:
    """Encoded frames that show the same thing at one place; `box_xyxy` in shares of the frame, None for all of it."""

    id: str
    label: GroupLabel
    origin: Literal["group", "feedback"]
    box_xyxy: tuple[float, float, float, float] | None
    frames: tuple[bytes, ...]


@dataclass(frozen=True)
class Exemplars:
    """The frames of one label as they were read: `rows` are their numbers behind, and among, the window's frames."""

    labelled: LabelledFrames
    rows: tuple[int, ...]
    cells: Bool[np.ndarray, "p q"]


def exemplar_frames(labels: Sequence[LabelledFrames]) -> list[tuple[int, bytes]]:
    """The encoded frames to read, each with the number of its label: the first of every label, then their second."""
    return [(number, labels[number].frames[place]) for number, place in _in_turn(labels)]


def exemplar_names(labels: Sequence[LabelledFrames]) -> list[str]:
    """A name for each of these frames: its label's id and its place there."""
    return [f"{labels[number].id}/{place}" for number, place in _in_turn(labels)]


def _in_turn(labels: Sequence[LabelledFrames]) -> list[tuple[int, int]]:
    depth = max((len(each.frames) for each in labels), default=0)
    pairs = ((number, place) for place in range(depth) for number in range(len(labels)))
    return [(number, place) for number, place in pairs if place < len(labels[number].frames)][:MOST_EXEMPLARS]


def exemplars_of(
    labels: Sequence[LabelledFrames],
    numbers: Sequence[int],
    frames: UsableFrames,
    *,
    geometry: Geometry,
    grid: tuple[int, int],
) -> list[Exemplars]:
    """Per label the rows of its frames, and of their copies in the window, and the grid positions of its box.

    `numbers` give the label of every frame that was read behind the window, in that order.
    """
    rows: dict[int, set[int]] = {}
    for row in range(frames.window_frames, len(frames)):
        rows.setdefault(numbers[frames.sources[row] - frames.given_frames], set()).add(row)
    by_digest: dict[bytes, list[int]] = {}
    for row, digest in enumerate(frames.digests[: frames.window_frames]):
        by_digest.setdefault(digest, []).append(row)
    exemplars = []
    for number, labelled in enumerate(labels):
        own = rows.get(number, set())
        copies = {copy for row in own for copy in by_digest.get(frames.digests[row], [])}
        box = labelled.box_xyxy or WHOLE_FRAME
        cells = box_cells(box, geometry=geometry, grid=grid, frame_wh=frames.frame_wh)
        exemplars.append(Exemplars(labelled, tuple(sorted(own | copies)), cells))
    return exemplars
