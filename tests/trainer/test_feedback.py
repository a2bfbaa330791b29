"""What people's words do; every one has an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.annotation import FrameAnnotation, Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from ingest.feedback import ABOUT_A_FRAME, Feedback, FeedbackKind
from ingest.frame import Frame
from tests.trainer.annotated import exemplar, group, place, word
from tests.trainer.kafka_line import picture
from tests.trainer.views import AT, LATER, VIEW, state
from trainer.annotations import MOST_ANNOTATIONS
from trainer.feedback import LABELS, FeedbackContext, after_feedback, build_request_of
from trainer.transition import Effect, NewFile, NotPossible, Transition
from trainer.window import BuildRequest

if TYPE_CHECKING:
    from ingest.contract import SourceRecord

OFFSET = 40
PICTURE = picture(1)
"""96 x 96 pixels."""


class ThreeFrames:
    """Kafka has the view's frame at offset 4, one of another view at 5, and a cut one at 6."""

    def frame(self, source: SourceRecord) -> Frame:
        """One of the three."""
        if source.offset not in {4, 5, 6}:
            raise NotPossible(f"Kafka has no frame at {source}: it expired, or never was")
        return Frame(
            view="line-2/camera-1" if source.offset == 5 else VIEW,
            key="line-1/camera-1",
            frame_id=f"0-{source.offset}",
            encoded=PICTURE[:200] if source.offset == 6 else PICTURE,
            source=source,
            appended_ms=0,
        )


def transition_of(feedback: Feedback, before: BankState) -> Transition:
    """What the word at offset 40 brings."""
    transition = after_feedback(FeedbackContext(feedback, before, ThreeFrames(), LATER), offset=OFFSET)
    assert transition is not None
    return transition


def annotations_after(feedback: Feedback, *before: FrameAnnotation) -> tuple[FrameAnnotation, ...]:
    """The view's annotations after the word."""
    after = transition_of(feedback, state(annotations=before)).state
    assert after is not None
    return after.annotations


@pytest.mark.parametrize(
    ("kind", "label", "escaped"),
    [
        ("escaped_defect", Label.DEFECT, True),
        ("bad", Label.DEFECT, False),
        ("false_reject", Label.GOOD, False),
        ("good", Label.GOOD, False),
    ],
)
def test_a_word_on_a_frame_is_an_annotation_with_the_frame_kept(kind: str, label: Label, *, escaped: bool) -> None:
    """The frame's file comes with the transition, so that it is written before the state; a build follows at once."""
    transition = transition_of(word(kind, source=place(4)), state(annotations=(group(),)))
    assert transition.state == state(
        epoch=8,
        by="ana",
        why="I looked",
        at=LATER,
        feedback_through=OFFSET + 1,
        annotations=(
            group(),
            FrameAnnotation(
                id="w-1",
                label=label,
                origin="feedback",
                exemplars=(exemplar("w-1", 4),),
                escaped=escaped,
                feedback_id="w-1",
                who="ana",
                why="I looked",
                at=LATER,
                found_at=LATER,
            ),
        ),
    )
    assert transition.files == (NewFile("annotations/line-1%2Fcamera-1/w-1/0.frame", PICTURE),)
    assert transition.effect is Effect.REPLACE_BUILD
    (event,) = transition.events
    assert (event.kind, event.command_id, event.who, event.epoch) == (BankEventKind.LABELLED, "w-1", "ana", 8)
    assert event.facts == {"feedback": kind, "annotation": "w-1", "label": label.value, "frame_id": "0-4"}


@pytest.mark.parametrize(
    ("box_px", "shares"),
    [
        ((24, 48, 48, 72), (0.25, 0.5, 0.5, 0.75)),
        ((-10, -10, 24, 200), (0.0, 0.0, 0.25, 1.0)),
        (None, None),
    ],
)
def test_a_box_in_pixels_becomes_shares_of_the_frame(
    box_px: tuple[float, ...] | None, shares: tuple[float, ...] | None
) -> None:
    """As far as it lies on the frame of 96 x 96; its place stands in the event."""
    transition = transition_of(word("bad", source=place(4), box_xyxy_px=box_px), state())
    assert transition.state is not None
    assert transition.state.annotations[0].box_xyxy == shares
    sides = tuple(transition.events[0].facts.get(side) for side in ("left", "top", "right", "bottom"))
    assert sides == (shares or (None,) * 4)


def test_a_later_word_on_the_same_place_of_a_frame_takes_the_earlier_ones_place() -> None:
    """Else it would be good and defective at once. Another place of the frame keeps its word."""
    (first,) = annotations_after(word("bad", source=place(4)))
    at_a_place = word("bad", id="w-2", source=place(4), box_xyxy_px=(0, 0, 10, 10))
    both = annotations_after(at_a_place, first)
    assert [each.id for each in both] == ["w-1", "w-2"]
    transition = transition_of(word("good", id="w-3", source=place(4)), state(annotations=both))
    assert transition.state is not None
    assert [(each.id, each.label) for each in transition.state.annotations] == [
        ("w-2", Label.DEFECT),
        ("w-3", Label.GOOD),
    ]
    assert transition.events[0].facts["replaces"] == "w-1"


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("group_good", Label.GOOD),
        ("group_defect", Label.DEFECT),
        ("group_no_part", Label.NO_PART),
        ("group_ignore", Label.IGNORE),
    ],
)
def test_a_word_on_a_group_is_its_label(kind: str, label: Label) -> None:
    """Whose, why and when; the group's frames and its id stay. Another group stays open."""
    before, other = group(), group("g00000002")
    transition = transition_of(word(kind, annotation=before.id), state(annotations=(before, other)))
    assert transition.state is not None
    labelled = before.model_copy(
        update={"label": label, "feedback_id": "w-1", "who": "ana", "why": "I looked", "at": LATER}
    )
    assert transition.state.annotations == (labelled, other)
    assert transition.state.open_groups == (other,)
    (event,) = transition.events
    assert (event.kind, event.facts["annotation"], event.facts["label_before"]) == ("labelled", before.id, "open")
    assert (transition.effect, transition.files) == (Effect.REPLACE_BUILD, ())


def test_every_kind_of_word_has_a_label_but_the_undo() -> None:
    """A kind that the contract gains must not fail at a plant."""
    assert set(FeedbackKind) - {FeedbackKind.UNDO} == set(LABELS)
    assert set(LABELS) >= ABOUT_A_FRAME


ANSWERED = group(label=Label.GOOD, feedback_id="w-0", who="bob", why="a variant")
SAID = group("w-0", Label.DEFECT, origin="feedback", feedback_id="w-0", frames=0, share=0)


@pytest.mark.parametrize("named", ["g00000001", "w-0"])
def test_an_undo_opens_a_group_again(named: str) -> None:
    """By the group's id, or by that of the word."""
    (after,) = annotations_after(word("undo", annotation=named), ANSWERED)
    assert after == group(who="ana", why="I looked", at=LATER)


def test_an_undo_of_a_word_on_a_frame_takes_it_away() -> None:
    """What it kept out of the bank is learnt again, from the next build on."""
    transition = transition_of(word("undo", annotation="w-0"), state(annotations=(group(), SAID)))
    assert transition.state is not None
    assert transition.state.annotations == (group(),)
    (event,) = transition.events
    assert (event.kind, event.facts["annotation"]) == (BankEventKind.LABEL_REMOVED, "w-0")
    assert transition.effect is Effect.REPLACE_BUILD


IN_USE = tuple(group(f"w{number}", Label.GOOD, origin="feedback") for number in range(MOST_ANNOTATIONS))


@pytest.mark.parametrize(
    ("feedback", "before", "reason"),
    [
        (
            word("bad", source=place(9)),
            (),
            "Kafka has no frame at frames:0:9: it expired, or never was",
        ),
        (
            word("bad", source=place(5)),
            (),
            "the frame at frames:0:5 is of view line-2/camera-1, not of line-1/camera-1",
        ),
        (
            word("bad", source=place(6)),
            (),
            "the frame cannot be decoded: truncated: the image ends early, after 200 bytes; send the whole file",
        ),
        (
            word("bad", source=place(4), box_xyxy_px=(100, 0, 120, 10)),
            (),
            "box 100, 0, 120, 10 (left, top, right, bottom) has no area on the frame of 96 x 96 pixels",
        ),
        (
            word("bad", source=place(4), id="w-0"),
            (SAID,),
            "feedback w-0 is in force already",
        ),
        (
            word("bad", source=place(4)),
            IN_USE,
            "the view has 100 annotations, and all are in use: take one back (undo) to make room",
        ),
        (
            word("group_good", annotation="g99999999"),
            (group(),),
            "this view has no annotation g99999999; `patchline review list` shows those it has",
        ),
        (
            word("group_good", annotation="w-0"),
            (SAID,),
            "w-0 is a word on one frame, not a group: take it back (undo) and say another",
        ),
        (
            word("group_good", annotation="g00000001"),
            (ANSWERED,),
            "group g00000001 is labelled good already, by bob",
        ),
        (
            word("group_ignore", annotation="g00000001"),
            (group(box_xyxy=None),),
            "group g00000001 is of whole frames: there is no place of it to ignore",
        ),
        (
            word("undo", annotation="g00000001"),
            (group(),),
            "group g00000001 is open: there is no word on it to take back",
        ),
    ],
)
def test_a_word_that_cannot_be_taken_is_refused_with_a_reason(
    feedback: Feedback, before: tuple[FrameAnnotation, ...], reason: str
) -> None:
    """Nothing changes but the place of the next word; the event tells who said what, and why not."""
    known = state(annotations=before)
    transition = transition_of(feedback, known)
    assert transition.state == known.model_copy(update={"epoch": 8, "at": LATER, "feedback_through": OFFSET + 1})
    (event,) = transition.events
    assert (event.kind, event.who, event.why, event.command_id) == (
        BankEventKind.FEEDBACK_REFUSED,
        "ana",
        reason,
        feedback.id,
    )
    assert event.facts == {"feedback": feedback.kind.value, "requested_because": "I looked"}
    assert (transition.effect, transition.files) == (Effect.NONE, ())


def test_a_word_on_a_frame_makes_room_by_a_group_that_nobody_sees() -> None:
    """The event of the group that goes follows the word's own."""
    unseen = group("g00000002", Label.DEFECT, frames=0, share=0)
    transition = transition_of(word("bad", source=place(4)), state(annotations=(unseen, *IN_USE[1:])))
    assert transition.state is not None
    assert [each.id for each in transition.state.annotations] == [*(each.id for each in IN_USE[1:]), "w-1"]
    labelled, removed = transition.events
    assert (labelled.kind, removed.kind) == (BankEventKind.LABELLED, BankEventKind.LABEL_REMOVED)
    assert (removed.who, removed.command_id, removed.facts["annotation"]) == ("trainer", None, "g00000002")


@pytest.mark.parametrize(
    ("before", "effect"),
    [
        (state(ViewState.PROVISIONAL, annotations=(group(),)), Effect.REPLACE_BUILD),
        (state(ViewState.LEARNING, annotations=(group(),)), Effect.POSTPONE),
        (state(ViewState.HELD, annotations=(group(),)), Effect.NONE),
    ],
)
def test_what_follows_a_word_depends_on_the_view(before: BankState, effect: Effect) -> None:
    """A first bank that is being built starts anew with it; a held view takes it, and learns nothing."""
    transition = transition_of(word("group_good", annotation="g00000001"), before)
    assert transition.effect is effect
    assert transition.state is not None
    assert transition.state.state is before.state


def test_a_word_is_taken_once() -> None:
    """After a restart the topic is read whole again."""
    context = FeedbackContext(word("undo", annotation="x"), state(feedback_through=41), ThreeFrames(), AT)
    assert after_feedback(context, offset=OFFSET) is None


def test_the_build_after_a_word_is_urgent_and_has_its_reason() -> None:
    """Its events carry the id of the word; without a reason the kind of word is one."""
    assert build_request_of(word("bad", source=place(4))) == BuildRequest(
        command_id="w-1", who="ana", why="I looked", urgent=True
    )
    assert build_request_of(word("bad", source=place(4), why="")).why == "feedback: bad"
