"""What a window of turned parts shows once all of them lie alike: doubtful frames, and groups of the few.

As they come, patches have no place: a rare pose is as far from the others as a defect is, and a defect on a tenth of
the parts has its like near. Cut out along the part, each patch is compared with the other frames' at its own place.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Int64

from softpatch.building.alignment import parts_are_aligned
from softpatch.building.grid_margin import with_margin
from softpatch.building.minority_groups import MinorityGroup, minority_groups
from softpatch.building.projection import ProjectedGroups, projected_groups
from softpatch.building.rejection import MOST_FRAMES_RATIO
from softpatch.building.upright_crop import on_frames
from softpatch.building.upright_frames import UprightFrames
from softpatch.calibration.extreme_value import posterior
from softpatch.discriminators.expected_nearest import COARSEST, NEIGHBOURHOOD, expected_nearest
from softpatch.settings import BuildSettings

VOUCHING = 0.05
"""Share of the other frames that must have a like patch at its place: a patch is as suspicious as the last of them is
far. Real defects of one kind on a tenth of the parts are not so much alike; what is, is a group."""

DOUBTFUL = 0.2
"""Probability of being no good frame from which on a frame is doubted. A good one that is loses a place; a defect that
is not lets its like pass."""

OVER_EXPECTED = 1.5
"""At most so many times as many frames are doubted as are expected to be no good ones: of a small clean window, half
may be likelier than `DOUBTFUL`."""

FEWEST_FRAMES = 30
"""Of fewer frames, a twentieth is one."""


@dataclass(frozen=True)
class TurnedWindow:
    """The window's frames that are not learnt where they are suspicious, and groups of the few, on frames' patches.

    `suspicious` are patches of all frames, those behind the window's included. Nobody is asked about a doubtful frame:
    as a rejected one of an aligned line it is unlike the others.
    """

    doubtful: Bool[np.ndarray, "n"]
    suspicious: Bool[np.ndarray, "m p q"]
    groups: tuple[MinorityGroup, ...]


def turned_window(upright: UprightFrames, settings: BuildSettings, *, window_frames: int) -> TurnedWindow | None:
    """Look at the cuts by place; None where the parts do not lie alike in them either.

    Frames behind the window's, which have a person's word, are compared with but never doubted.
    """
    if window_frames < FEWEST_FRAMES:
        return None
    projected = projected_groups(upright.embeddings, settings)
    distances = _distances(projected)
    if not parts_are_aligned(projected.first, distances.expected[:: len(projected.groups)]):
        return None
    vouched = np.where(upright.shown, distances.vouched, np.float32(0))
    doubtful, cells = _doubtful(vouched[:window_frames])
    suspicious = np.zeros(upright.places.shape, np.bool_)
    suspicious[:window_frames] = on_frames(with_margin(cells), upright.places[:window_frames])
    groups = () if settings.groups == "learn" else minority_groups(projected, distances.expected)
    return TurnedWindow(doubtful, suspicious, tuple(_on_frames(group, upright.places) for group in groups))


@dataclass(frozen=True)
class _Distances:
    """Per patch the expected distance to its nearest in half of the other frames, and that to the last that vouches."""

    expected: Float32[np.ndarray, "n p q"]
    vouched: Float32[np.ndarray, "n p q"]


def _distances(projected: ProjectedGroups) -> _Distances:
    """Of every frame, among those of its interleaved group."""
    frames = sum(map(len, projected.groups))
    found: _Distances | None = None
    for group, patches in projected:
        if found is None:
            shape = (frames, *patches.shape[1:3])
            found = _Distances(np.empty(shape, np.float32), np.empty(shape, np.float32))
        its = slice(group.start, group.stop, group.step)
        found.expected[its], found.vouched[its] = _of_group(patches)
    if found is None:
        raise ValueError("a window of no frames has no distances")
    return found


def _of_group(
    patches: Float32[np.ndarray, "n p q d"],
) -> tuple[Float32[np.ndarray, "n p q"], Float32[np.ndarray, "n p q"]]:
    frames, rows, columns, _ = patches.shape
    if frames < 2:  # noqa: PLR2004 - one frame has no other
        return np.ones(patches.shape[:3], np.float32), np.ones(patches.shape[:3], np.float32)
    step = max(1, min(rows, columns) // COARSEST)
    last = max(1, round(VOUCHING * (frames - 1)))
    expected, vouched = np.empty((2, frames, rows, columns), np.float32)
    for row in range(0, rows, step):
        for column in range(0, columns, step):
            squared = _squared(patches, row, column)
            block = (slice(None), slice(row, row + step), slice(column, column + step))
            # of itself, the first of all, nothing is known: it is left out
            expected[block] = expected_nearest(squared, leave_out=1)[:, None, None]
            vouched[block] = np.sqrt(np.partition(squared, last, axis=1)[:, last])[:, None, None]
    return expected, vouched


def _squared(patches: Float32[np.ndarray, "n p q d"], row: int, column: int) -> Float32[np.ndarray, "n n"]:
    """Squared distances from each frame's patch there to the nearest around in every frame; 0 to itself."""
    around = tuple(slice(max(0, at - NEIGHBOURHOOD), at + NEIGHBOURHOOD + 1) for at in (row, column))
    keys = patches[:, *around]
    keys = keys.reshape(len(keys), -1, keys.shape[-1])
    centre = keys.mean(axis=(0, 1))
    own, keys = patches[:, row, column] - centre, keys - centre
    half = (np.square(keys).sum(axis=2) / 2).T
    nearness = np.full((len(own), len(own)), -np.inf, np.float32)
    for neighbour, its_half in zip(keys.swapaxes(0, 1), half, strict=True):
        np.maximum(nearness, own @ neighbour.T - its_half, out=nearness)
    squared = np.maximum(np.square(own).sum(axis=1)[:, None] - 2 * nearness, 0)
    np.fill_diagonal(squared, 0)
    return np.asarray(squared, np.float32)


def _doubtful(
    vouched: Float32[np.ndarray, "n p q"],
) -> tuple[Bool[np.ndarray, "n"], Bool[np.ndarray, "n p q"]]:
    """The frames whose most suspicious patch is likelier than `DOUBTFUL` no good one's, and such patches in them."""
    suspicion = vouched.reshape(len(vouched), -1).max(axis=1)
    probability = posterior(suspicion).noise_probabilities
    most = min(MOST_FRAMES_RATIO * len(vouched), np.ceil(OVER_EXPECTED * probability.sum()))
    doubtful = (probability >= DOUBTFUL) & (np.argsort(np.argsort(-suspicion, kind="stable")) < most)
    limit = suspicion[doubtful].min(initial=np.inf)
    return doubtful, np.asarray((vouched >= limit) & doubtful[:, None, None])


def _on_frames(group: MinorityGroup, places: Int64[np.ndarray, "n p q"]) -> MinorityGroup:
    """A group that was found by place in the cuts, as it is asked about: where its representative shows it."""
    rows = list(group.frames)
    cells = on_frames(np.stack([group.cells] * len(rows)), places[rows])
    of_representative = places[[group.representative]]
    return replace(
        group,
        cells=_seen(group.cells, of_representative),
        core=_seen(group.core, of_representative),
        frame_cells=cells,
    )


def _seen(cells: Bool[np.ndarray, "r c"], places: Int64[np.ndarray, "1 p q"]) -> Bool[np.ndarray, "p q"]:
    """Where a frame shows them, or what is around them; all of it where the middle of no patch does."""
    for of in (cells, with_margin(cells)):
        shown = on_frames(of[None], places)[0]
        if shown.any():
            return np.asarray(shown)
    return np.ones(places.shape[1:], np.bool_)
