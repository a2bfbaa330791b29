"""Groups of the few where parts lie turned: what repeats is found anywhere, and a pose is no group."""

import numpy as np
import pytest
from jaxtyping import Float32

from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.label_masks import LabelledGroup, patch_labels
from softpatch.building.minority_groups import MinorityGroup
from softpatch.building.projection import projected_groups
from softpatch.building.unaligned_groups import unaligned_groups
from softpatch.settings import BuildSettings

SIDE, DIMENSION = 10, 32


def turned(
    frames: int, carriers: int, *, strength: float = 2.0, seed: int = 0
) -> tuple[Float32[np.ndarray, "n p q d"], np.ndarray]:
    """Patches of noise, the first frames with the same mark, each at a place of its own; and those places."""
    rng = np.random.default_rng(seed)
    patches = rng.standard_normal((frames, SIDE, SIDE, DIMENSION)).astype(np.float32)
    mark = strength * rng.standard_normal(DIMENSION).astype(np.float32)
    places = rng.integers(0, SIDE, (carriers, 2))
    for frame, (row, column) in enumerate(places):
        patches[frame, row, column] += mark
    return patches, places


def groups_of(patches: Float32[np.ndarray, "n p q d"], group_frames: int = 384) -> tuple[MinorityGroup, ...]:
    """The groups of a window of these patches."""
    buffer = MemoryBuffer(len(patches), patches.shape[1:])
    buffer.append(patches)
    settings = BuildSettings(group_frames=group_frames, projection_dims=patches.shape[-1])
    return unaligned_groups(projected_groups(buffer, settings))


@pytest.mark.parametrize("carriers", [4, 12, 36])
def test_a_mark_that_lies_elsewhere_in_every_frame_is_one_group(carriers: int) -> None:
    """All who carry it, no one else, and where it is in each of them."""
    patches, places = turned(120, carriers)
    found = groups_of(patches)
    assert [group.frames for group in found] == [tuple(range(carriers))]
    cells = found[0].frame_cells
    assert cells is not None
    assert all(cells[frame, row, column] for frame, (row, column) in enumerate(places))


@pytest.mark.parametrize("seed", range(5))
def test_a_window_where_nothing_repeats_asks_nothing(seed: int) -> None:
    """Noise is no group."""
    assert not groups_of(turned(60, 0, seed=seed)[0])


def test_frames_that_lie_alike_are_a_pose_and_no_group() -> None:
    """What they have in common is how the part lies: it shows in the whole frame."""
    patches, _ = turned(120, 12)
    pose = np.random.default_rng(1).standard_normal((SIDE, SIDE, DIMENSION)).astype(np.float32)
    patches[:12] += 0.7 * pose
    assert not groups_of(patches)


def test_a_group_that_two_interleaved_groups_of_frames_share_is_one() -> None:
    """One question, not two."""
    found = groups_of(turned(120, 24, strength=4.0)[0], group_frames=60)
    assert [sorted(group.frames) for group in found] == [list(range(24))]


def test_copies_are_no_group() -> None:
    """A line that stands still has no few."""
    assert not groups_of(np.repeat(turned(1, 0)[0], 40, axis=0))


def test_too_few_frames_are_not_looked_at() -> None:
    """Of them, too few lie differently."""
    assert not groups_of(turned(20, 4)[0])


def test_each_frame_of_a_group_loses_its_own_place() -> None:
    """The mark leaves the bank where it is, and patches elsewhere stay."""
    patches, places = turned(120, 12)
    group = groups_of(patches)[0]
    labelled = LabelledGroup(None, "open", group, group.frames, group.cells, group.core)
    excluded = patch_labels(np.ones(patches.shape[:3], np.float32), [labelled], (), window_frames=120).excluded
    assert all(excluded[frame, row, column] for frame, (row, column) in enumerate(places))
    assert excluded[:12].mean() < 0.5
    assert not excluded[12:].any()
