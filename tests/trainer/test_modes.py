"""Modes of a window: an empty belt must not push the parts out."""

from __future__ import annotations

import pytest

from tests.trainer.annotated import found_group
from tests.trainer.test_window import VIEW, frame
from tests.trainer.views import source
from trainer.modes import mode_full, mode_of, with_modes
from trainer.window import Admission, Bounds, KeptFrame, WindowIndex, admission, kept, passed

PART, BELT = 0x00FF00FF00FF00FF, 0xFF00FF00FF00FF00
BOUNDS = Bounds(frames=80, bytes=10**9, span_frames=1600)
CAP = 0.25


def hash_of(kind: int, number: int) -> str:
    """A hash of this kind that differs from its others in up to six bits."""
    noise = (1 << number % 64) | (1 << (number * 7) % 64) | (1 << (number * 13) % 64)
    return f"{kind ^ noise:016x}"


def looking(offset: int, number: int, kind: int) -> KeptFrame:
    """The frame at an offset, of this kind."""
    return frame(offset, number).model_copy(update={"difference_hash": hash_of(kind, offset)})


def fed(index: WindowIndex, offsets: range, kind: int) -> WindowIndex:
    """The index after frames of a kind at these offsets, as the collector would feed them."""
    for offset in offsets:
        verdict = admission(index, source(offset), frame_id=f"f0-{offset}")
        if verdict is Admission.THINNED:
            index = passed(index, source(offset), counted=True)
            continue
        mode = mode_of(index.frames, hash_of(kind, offset))
        if mode_full(index, mode, cap_ratio=CAP):
            index = passed(index, source(offset), counted=False)
        else:
            new = looking(offset, index.seen, kind).model_copy(update={"mode": mode})
            index = kept(index, new, BOUNDS).index
    return index


def built(index: WindowIndex, belts: range) -> WindowIndex:
    """The index after a build that found the frames at these offsets to be a group of whole frames."""
    names = [each.frame_id for each in index.frames]
    members = [f"f0-{offset}" for offset in belts if f"f0-{offset}" in names]
    belt = found_group("g-belt", whole_frame=True, examples=members[:8], members=members)
    return with_modes(index, [belt], names, cap_ratio=CAP).index


def kinds(index: WindowIndex, first_belt: int) -> tuple[int, int]:
    """How many parts and how many belts a window holds, where belts come from an offset on."""
    belts = sum(each.offset >= first_belt for each in index.frames)
    return len(index.frames) - belts, belts


@pytest.mark.slow
def test_an_hour_of_empty_belt_leaves_three_quarters_of_the_window_to_parts() -> None:
    """A build comes after 200 frames of belt; of those that follow none enters, and a second build changes nothing.

    All frames counted alike once, and the window was all belt in the end: the next bank knew no part.
    """
    full = fed(WindowIndex(view=VIEW, topic="frames", home=0), range(400), PART)
    index = fed(full, range(400, 600), BELT)
    index = built(index, range(400, 600))
    index = fed(index, range(600, 700), BELT)
    parts, belts = kinds(index, 400)
    assert belts > 10
    assert parts >= 3 * (parts + belts) / 4
    assert parts >= 3 * kinds(full, 400)[0] / 4
    again = built(index, range(400, 700))
    assert kinds(again, 400) == (parts, belts)


@pytest.mark.slow
def test_parts_come_back_into_the_window_after_the_belt() -> None:
    """They are of no mode, so that nothing holds them up."""
    index = fed(WindowIndex(view=VIEW, topic="frames", home=0), range(60), PART)
    index = built(fed(index, range(60, 76), BELT), range(60, 76))
    index = fed(index, range(76, 92), PART)
    assert [each.mode for each in index.frames[-8:]] == [None] * 8


@pytest.mark.parametrize(
    ("modes", "expected"),
    [
        (["b", "b", "b", None, None], "b"),
        (["b", "b", None, None, None], None),
        (["b", "b", "c", "c", None], None),
        (["b"], "b"),
        ([], None),
    ],
)
def test_a_frame_has_the_mode_of_most_of_its_nearest(modes: list[str | None], expected: str | None) -> None:
    """Of five; others, farther away, have no say."""
    near = [looking(n, n, BELT).model_copy(update={"mode": mode}) for n, mode in enumerate(modes)]
    far = [looking(100 + n, 100 + n, PART).model_copy(update={"mode": "far"}) for n in range(9)] if modes else []
    if len(near) < 5:
        far = []
    assert mode_of([*far, *near], f"{BELT:016x}") == expected


def test_a_build_says_anew_which_mode_each_frame_has() -> None:
    """Groups at a place are none; frames that came after the build have the mode of those like them."""
    index = fed(WindowIndex(view=VIEW, topic="frames", home=0), range(10), PART)
    index = fed(index, range(10, 20), BELT)
    names = [each.frame_id for each in index.frames][:18]
    belt = found_group("g-belt", whole_frame=True, members=[f"f0-{n}" for n in range(10, 18)])
    scratch = found_group("g-scratch", whole_frame=False, members=["f0-1", "f0-2"])
    modes = [each.mode for each in with_modes(index, [scratch, belt], names, cap_ratio=1).index.frames]
    assert modes == [None] * 10 + ["g-belt"] * 10
    forgotten = with_modes(index, [], names, cap_ratio=1).index
    assert {each.mode for each in forgotten.frames} == {None}


def test_what_a_mode_has_beyond_its_share_leaves_the_window_with_its_files() -> None:
    """The oldest of it go."""
    index = fed(WindowIndex(view=VIEW, topic="frames", home=0), range(10), PART)
    index = fed(index, range(10, 20), BELT)
    names = [each.frame_id for each in index.frames]
    belt = found_group("g-belt", whole_frame=True, members=names[10:])
    change = with_modes(index, [belt], names, cap_ratio=0.3)
    assert [each.offset for each in change.index.frames] == [*range(10), *range(16, 20)]
    assert [each.offset for each in change.delete] == list(range(10, 16))
