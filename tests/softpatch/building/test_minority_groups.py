"""Groups of the few: what repeats at a place is found whatever its share, and nothing where nothing repeats."""

from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float32

from softpatch.building.embedding_buffer import MemoryBuffer
from softpatch.building.group_drafts import AskedGroup
from softpatch.building.minority_groups import MinorityGroup, minority_groups
from softpatch.building.projection import projected_groups
from softpatch.discriminators.expected_nearest import ExpectedNearest
from softpatch.settings import BuildSettings

PLACE = (slice(4, 6), slice(4, 6))


def marked(frames: int, carriers: int, *, strength: float = 3.0, seed: int = 0) -> Float32[np.ndarray, "n p q d"]:
    """Patches of noise, the first frames with the same mark at one place."""
    rng = np.random.default_rng(seed)
    patches = rng.standard_normal((frames, 10, 10, 32)).astype(np.float32)
    mark = rng.standard_normal((2, 2, 32)).astype(np.float32)
    patches[:carriers, *PLACE] += strength * mark
    return patches


def groups_of(
    patches: Float32[np.ndarray, "n p q d"],
    group_frames: int = 384,
    *,
    known: Sequence[Sequence[int]] = (),
    out: bool = False,
) -> tuple[MinorityGroup, ...]:
    """The groups of a window of these patches, some of whose frames an earlier build asked about, and keeps `out`."""
    buffer = MemoryBuffer(len(patches), patches.shape[1:])
    buffer.append(patches)
    settings = BuildSettings(group_frames=group_frames, projection_dims=patches.shape[-1])
    factors = ExpectedNearest().factors(patches, noise_floor=0.0)
    asked = [AskedGroup(tuple(rows), kept_out=out) for rows in known]
    return minority_groups(projected_groups(buffer, settings), factors, asked)


@pytest.mark.parametrize("carriers", [3, 8, 24, 48])
def test_a_mark_on_any_share_of_frames_is_one_group(carriers: int) -> None:
    """All who carry it, and no one else."""
    found = groups_of(marked(120, carriers))
    assert [group.frames for group in found] == [tuple(range(carriers))]
    assert found[0].representative < carriers


def test_its_cells_are_the_place_of_the_mark() -> None:
    """The place is what is shown, and what leaves the bank."""
    found = groups_of(marked(120, 24))
    expected = np.zeros((10, 10), np.bool_)
    expected[PLACE] = True
    np.testing.assert_array_equal(found[0].cells, expected)


@pytest.mark.parametrize("seed", range(5))
def test_a_window_where_nothing_repeats_asks_nothing(seed: int) -> None:
    """Noise is no group."""
    assert not groups_of(marked(60, 0, seed=seed))


def test_the_order_of_frames_does_not_matter() -> None:
    """Shuffled, the same frames are found."""
    order = np.random.default_rng(1).permutation(120)
    found = groups_of(marked(120, 12)[order])
    assert sorted(order[list(found[0].frames)].tolist()) == list(range(12))


def test_a_group_that_two_interleaved_groups_of_frames_share_is_one() -> None:
    """One question, not two."""
    found = groups_of(marked(120, 24), group_frames=60)
    assert [sorted(group.frames) for group in found] == [list(range(24))]


def test_a_finish_that_half_of_a_groups_frames_have_is_no_part_of_it() -> None:
    """Every third part has one of three finishes, and six have a mark beside where it shows: these, and no others.

    With 28 frames of the finish that three of six variants had, the first question of a simulated fortnight was about
    34 frames, and good parts of that finish failed until it was answered.
    """
    patches = marked(90, 0)
    rng = np.random.default_rng(3)
    finishes = rng.standard_normal((3, 32)).astype(np.float32)
    patches[:, 4, 6] += finishes[np.arange(90) % 3]
    carriers = [0, 3, 6, 10, 20, 31]
    patches[carriers, *PLACE] += 4.0 * rng.standard_normal((2, 2, 32)).astype(np.float32)
    (found,) = groups_of(patches)
    assert sorted(found.frames) == carriers


def test_parts_photographed_twice_do_not_hide_a_mark_on_many() -> None:
    """Four pairs of frames go together at every place: a mark on 18 of 60 is none the less a group, and no pair is.

    With gaps weighed by the root of their size, scratches on 18 of 60 real tiles were learnt in silence.
    """
    patches = marked(60, 18, strength=1.0)
    patches[53::2] = patches[52::2] + 0.5 * np.random.default_rng(7).standard_normal(patches[52::2].shape)
    assert [sorted(group.frames) for group in groups_of(patches)] == [list(range(18))]


@pytest.mark.parametrize("seed", [12, 14])
def test_a_faint_mark_is_told_by_its_typical_frame(seed: int) -> None:
    """Nine of 60 frames, the faintest of them hardly beyond the clearest of the others: all nine, and no one else.

    By the faintest frame alone, scratches on 12 and 18 of 60 real impellers were learnt in silence.
    """
    found = groups_of(marked(60, 9, strength=0.9, seed=seed))
    assert [sorted(group.frames) for group in found] == [list(range(9))]


def test_where_a_group_is_known_a_faint_mark_is_told_by_its_gap_alone() -> None:
    """What is left to compare with there is too little to say how far chance reaches."""
    assert not groups_of(marked(60, 9, strength=0.9, seed=12), known=[[50, 51]])


@pytest.mark.parametrize("seed", range(3))
def test_a_mark_on_many_is_of_the_few_though_some_others_stand_out_as_far(seed: int) -> None:
    """On 40 of 120 frames, where 12 differ in their own ways: a seventh of the others, but three for ten of its own.

    Scratches on 60 of 200 real impellers were learnt in silence, for 19 others that stand out as far.
    """
    patches = marked(120, 40, strength=2.0, seed=seed)
    patches[108:, *PLACE] += 3.0 * np.random.default_rng(5).standard_normal((12, 2, 2, 32)).astype(np.float32)
    assert [sorted(group.frames) for group in groups_of(patches)] == [list(range(40))]


def test_where_groups_are_known_what_is_on_many_among_many_others_is_none_of_the_few() -> None:
    """Dust on a third of the frames looks like a mark on as many, and a mark would be known by then.

    In a simulated fortnight it was asked about, and of 18 marked parts of the last day 13 were found instead of 17.
    """
    patches = marked(120, 40, strength=2.0)
    patches[108:, *PLACE] += 3.0 * np.random.default_rng(5).standard_normal((12, 2, 2, 32)).astype(np.float32)
    assert groups_of(patches)
    assert not groups_of(patches, known=[(50, 51, 52)])


@pytest.mark.parametrize("seed", range(3))
def test_the_ends_of_a_spread_are_no_group(seed: int) -> None:
    """Light that falls on each of 90 frames by another amount: many stand out, and no gap is between them."""
    patches = marked(90, 0, seed=seed)
    rng = np.random.default_rng(seed + 100)
    amounts = 3.0 * rng.standard_normal((90, 1, 1, 1)).astype(np.float32)
    patches[:, *PLACE] += amounts * rng.standard_normal((2, 2, 32)).astype(np.float32)
    assert not groups_of(patches)


def test_a_group_that_is_known_is_found_where_nobody_would_be_asked_about_it() -> None:
    """Four frames with a mark, among finishes that a sixth of the frames have: by half of the frames known to have it.

    In a simulated fortnight a variant that was called good was no longer found beside a lens with dust: its parts
    raised the threshold, and marked parts passed.
    """
    patches = marked(90, 4)
    rng = np.random.default_rng(5)
    for number in range(6):
        row, column = divmod(number, 5)
        finish = 1.3 * rng.standard_normal(32).astype(np.float32)
        patches[rng.random(90) < 0.15, 3 * row, 2 * column + 1] += finish
    found = [group.frames for group in groups_of(patches)]
    assert (0, 1, 2, 3) not in found
    assert [group.frames for group in groups_of(patches, known=[(50, 51), (2, 3, 60)])] == [*found, (0, 1, 2, 3)]
    assert [group.frames for group in groups_of(patches, known=[(2, 50, 60), ()])] == found


def test_a_known_mark_on_many_does_not_make_another_look_like_chance() -> None:
    """Of 90 frames 30 have one mark and four another: each is measured against what is not known."""
    patches = marked(90, 4, strength=2.0)
    patches[60:, 7:, :3] += np.random.default_rng(5).standard_normal((3, 3, 32)).astype(np.float32)
    few, many = tuple(range(4)), tuple(range(60, 90))
    assert not groups_of(patches)
    assert {group.frames for group in groups_of(patches, known=[many[:8], few[:2]])} == {few, many}


def test_a_mark_that_is_kept_out_is_found_among_others_that_stand_out_as_far() -> None:
    """Eight frames with the mark, fourteen that each differ in their own way at its place: dust on the lens."""
    patches = marked(90, 8, strength=2.0)
    patches[76:, *PLACE] += 3.0 * np.random.default_rng(5).standard_normal((14, 2, 2, 32)).astype(np.float32)
    known = [(0, 1, 2, 3)]
    assert not groups_of(patches)
    assert not groups_of(patches, known=known)
    assert [group.frames for group in groups_of(patches, known=known, out=True)] == [tuple(range(8))]


def test_copies_are_no_group() -> None:
    """A line that stands still has no few."""
    assert not groups_of(np.repeat(marked(1, 0), 40, axis=0))
