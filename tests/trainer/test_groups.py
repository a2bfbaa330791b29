"""What becomes of the groups that a build found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.annotation import Label
from ingest.bank_event import BankEventKind
from tests.trainer.annotated import exemplar, found_group, group, place
from tests.trainer.views import LATER, state
from trainer.annotations import MOST_ANNOTATIONS
from trainer.groups import WHY, WindowFrame, with_groups
from trainer.transition import FileCopy, Transition

if TYPE_CHECKING:
    from ingest.bank_state import BankState
    from softpatch.manifest import GroupRecord

FRAMES = {f"0-{offset}": WindowFrame(place(offset), f"windows/{offset}") for offset in range(20)}


def merged(before: BankState, *groups: GroupRecord) -> Transition:
    """What a build's transition becomes with these groups."""
    return with_groups(Transition(before, ()), groups, FRAMES, at=LATER)


def state_after(before: BankState, *groups: GroupRecord) -> BankState:
    """The state of it."""
    after = merged(before, *groups).state
    assert after is not None
    return after


def test_a_new_group_is_an_open_annotation_an_event_and_frames_to_keep() -> None:
    """With its share and its place; its most typical frames are copied out of the window."""
    transition = merged(state(), found_group(offsets=(4, 2)))
    assert transition.state is not None
    (annotation,) = transition.state.annotations
    assert annotation == group(
        exemplars=(exemplar("g00000001", 4), exemplar("g00000001", 2, 1)),
        frames=2,
        why=WHY,
        at=LATER,
        found_at=LATER,
    )
    assert transition.state.open_groups == (annotation,)
    assert transition.files == (
        FileCopy("annotations/line-1%2Fcamera-1/g00000001/0.frame", "windows/4"),
        FileCopy("annotations/line-1%2Fcamera-1/g00000001/1.frame", "windows/2"),
    )
    (event,) = transition.events
    assert (event.kind, event.who, event.why, event.epoch) == (BankEventKind.GROUP_FOUND, "trainer", WHY, 7)
    assert event.facts == {
        "annotation": "g00000001",
        "label": "open",
        "left": 0.0,
        "top": 0.0,
        "right": 0.25,
        "bottom": 0.5,
        "frames": 2,
        "share": 0.15,
    }


def test_a_group_of_whole_frames_has_no_place() -> None:
    """And a box that rounding put beyond the frame is on it."""
    whole, beyond = found_group("g1", whole_frame=True), found_group("g2", box_xyxy=(-1e-9, 0.5, 1.0000001, 0.75))
    assert [each.box_xyxy for each in state_after(state(), whole, beyond).annotations] == [None, (0, 0.5, 1, 0.75)]


def test_at_most_eight_frames_are_kept_and_only_those_of_the_window() -> None:
    """Frames that the build had from the store belong to an earlier group."""
    many = found_group(offsets=tuple(range(20)), examples=["from-the-store", *(f"0-{n}" for n in range(20))])
    (annotation,) = state_after(state(), many).annotations
    assert [each.frame_id for each in annotation.exemplars] == [f"0-{n}" for n in range(8)]


@pytest.mark.parametrize("label", [Label.OPEN, Label.GOOD, Label.DEFECT])
def test_a_known_group_asks_nothing_again_and_is_counted_anew(label: Label) -> None:
    """Its label, its frames in the store and its place stay as they were when it was asked about."""
    before = state(annotations=(group(label=label),))
    transition = merged(before, found_group(label=label.value, is_new=False, frames=9, share=0.45))
    assert transition.state == state(annotations=(group(label=label, frames=9, share=0.45),))
    assert (transition.events, transition.files) == ((), ())


def test_a_group_that_the_window_no_longer_shows_has_no_frames() -> None:
    """It stays known, so that it is recognised when it comes back. A word on a frame has no share of its own."""
    said = group("w-1", Label.GOOD, origin="feedback", frames=0, share=0)
    after = state_after(state(annotations=(group(label=Label.GOOD), said)))
    assert after.annotations == (group(label=Label.GOOD, frames=0, share=0), said)


def test_the_same_build_again_asks_nothing_twice() -> None:
    """As after a crash before the state was written, or where the store had lost the frames: those are kept anew."""
    known = state(annotations=(group(label=Label.DEFECT),))
    transition = merged(known, found_group(offsets=(7,)))
    assert transition.events == ()
    assert transition.state is not None
    (annotation,) = transition.state.annotations
    assert (annotation.label, annotation.exemplars) == (Label.DEFECT, (exemplar("g00000001", 7),))
    assert transition.files == (FileCopy("annotations/line-1%2Fcamera-1/g00000001/0.frame", "windows/7"),)


def test_a_new_group_takes_the_place_of_one_that_nobody_sees() -> None:
    """Both are told."""
    unseen = group("g-unseen", Label.GOOD, frames=0)
    full = tuple(group(f"w{number}", Label.GOOD, origin="feedback") for number in range(MOST_ANNOTATIONS - 1))
    transition = merged(state(annotations=(unseen, *full)), found_group())
    assert [event.kind for event in transition.events] == [BankEventKind.GROUP_FOUND, BankEventKind.LABEL_REMOVED]
    assert transition.state is not None
    assert transition.state.annotations[-1].id == "g00000001"
    assert len(transition.state.annotations) == MOST_ANNOTATIONS


def test_a_group_without_room_is_told_and_not_listed() -> None:
    """It is not learnt; the event says what to do."""
    full = tuple(group(f"w{number}", Label.GOOD, origin="feedback") for number in range(MOST_ANNOTATIONS))
    transition = merged(state(annotations=full), found_group())
    assert transition.state == state(annotations=full)
    assert transition.files == ()
    (event,) = transition.events
    assert event.why == (
        f"{WHY} It is not listed: the view has 100 annotations, and all are in use: take one back (undo) to make room"
    )
