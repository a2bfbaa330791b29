"""What a person's word on a frame or a group does to a view: functions of values. Every word has an event.

A word is in force from the next build on, which starts at once where a bank is in force. A word on a frame is an
annotation of its own, with the frame kept in the store; a word on a group is the group's label.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState, ViewState
from ingest.feedback import ABOUT_A_FRAME, Feedback, FeedbackKind
from ingest.store_layout import exemplar_path
from softpatch.images.header import UndecodableImage, read_header
from trainer.annotations import added, found, replaced
from trainer.transition import TRAINER, Effect, Initiator, NewFile, NotPossible, Transition, changed, event_of
from trainer.window import BuildRequest

if TYPE_CHECKING:
    from datetime import datetime

    from ingest.bank_event import BankEvent
    from ingest.contract import SourceRecord
    from ingest.frame import Frame
    from trainer.annotations import Annotations
    from trainer.transition import EventFacts

    FeedbackBox = tuple[float, float, float, float]

LABELS = {
    FeedbackKind.ESCAPED_DEFECT: Label.DEFECT,
    FeedbackKind.BAD: Label.DEFECT,
    FeedbackKind.FALSE_REJECT: Label.GOOD,
    FeedbackKind.GOOD: Label.GOOD,
    FeedbackKind.GROUP_GOOD: Label.GOOD,
    FeedbackKind.GROUP_DEFECT: Label.DEFECT,
    FeedbackKind.GROUP_NO_PART: Label.NO_PART,
    FeedbackKind.GROUP_IGNORE: Label.IGNORE,
}
"""What each word says of the frames it is about; an undo says nothing of them."""


class Frames(Protocol):
    """The frames that Kafka still has."""

    def frame(self, source: SourceRecord) -> Frame:
        """The frame at this place. Raises NotPossible where there is none, BrokerUnreachable where Kafka is silent."""
        ...


@dataclass(frozen=True)
class FeedbackContext:
    """A word with all that its outcome depends on: its view as it is, the frames that Kafka has, and the time."""

    feedback: Feedback
    state: BankState
    frames: Frames
    at: datetime

    @property
    def initiator(self) -> Initiator:
        """The person whose word it is."""
        return Initiator(self.feedback.who, self.feedback.why, self.feedback.id)

    def done(
        self,
        kind: BankEventKind,
        annotations: Annotations,
        facts: EventFacts,
        *,
        dropped: FrameAnnotation | None = None,
        files: tuple[NewFile, ...] = (),
    ) -> Transition:
        """The transition of a word that changed the annotations."""
        state = changed(self.state, self.initiator, self.at, annotations=annotations)
        said: EventFacts = {"feedback": self.feedback.kind.value, **facts}
        events = [event_of(state, kind, self.initiator, facts=said, at=self.at)]
        if dropped is not None:
            events.append(dropped_event(state, dropped, at=self.at))
        return Transition(state, tuple(events), _effect_on(self.state), files)


def after_feedback(context: FeedbackContext, *, offset: int) -> Transition | None:
    """What a word changes. None for one that was taken already; a refused one has its event too.

    `offset` is where the word stands in the view's partition of `feedback`.
    """
    if offset < context.state.feedback_through:
        return None
    counted = replace(context, state=context.state.model_copy(update={"feedback_through": offset + 1}))
    try:
        if context.feedback.kind in ABOUT_A_FRAME:
            return _frame_labelled(counted)
        return _undone(counted) if context.feedback.kind is FeedbackKind.UNDO else _group_labelled(counted)
    except NotPossible as refusal:
        return _refused(counted, str(refusal))


def failed_word(context: FeedbackContext, reason: str, *, offset: int) -> Transition:
    """The refusal of a word that fails whenever it is tried."""
    return _refused(replace(context, state=context.state.model_copy(update={"feedback_through": offset + 1})), reason)


def build_request_of(feedback: Feedback) -> BuildRequest:
    """The build that follows a word, as the window's index remembers it."""
    why = feedback.why or f"feedback: {feedback.kind.value}"
    return BuildRequest(command_id=feedback.id, who=feedback.who, why=why, urgent=True)


def dropped_event(state: BankState, annotation: FrameAnnotation, *, at: datetime) -> BankEvent:
    """The event of a group that made room for another annotation."""
    why = "it made room: no frame of the latest window showed this group"
    return event_of(state, BankEventKind.LABEL_REMOVED, Initiator(TRAINER, why), facts=facts_of(annotation), at=at)


def facts_of(annotation: FrameAnnotation) -> EventFacts:
    """An annotation in the facts of an event: id, label, and its place in shares of the frame."""
    facts: EventFacts = {"annotation": annotation.id, "label": annotation.label.value}
    if annotation.box_xyxy is not None:
        facts |= dict(zip(("left", "top", "right", "bottom"), annotation.box_xyxy, strict=True))
    return facts


def _frame_labelled(context: FeedbackContext) -> Transition:
    """A word on a frame: an annotation of its own, in place of an earlier word on the same place of that frame."""
    feedback, before = context.feedback, context.state.annotations
    if found(before, feedback.id) is not None:
        raise NotPossible(f"feedback {feedback.id} is in force already")
    frame = _frame(context)
    annotation = _annotation_of(context, frame)
    earlier = next((each for each in before if _same_place(each, annotation)), None)
    kept = tuple(each for each in before if each is not earlier)
    with_it = added(kept, annotation)
    facts: EventFacts = {**facts_of(annotation), "frame_id": frame.frame_id}
    if earlier is not None:
        facts["replaces"] = earlier.id
    return context.done(
        BankEventKind.LABELLED,
        with_it.annotations,
        facts,
        dropped=with_it.dropped,
        files=(NewFile(annotation.exemplars[0].path, frame.encoded),),
    )


def _group_labelled(context: FeedbackContext) -> Transition:
    group, label = _annotation(context), LABELS[context.feedback.kind]
    if group.origin != "group":
        raise NotPossible(f"{group.id} is a word on one frame, not a group: take it back (undo) and say another")
    if group.label is label:
        raise NotPossible(f"group {group.id} is labelled {label.value} already, by {group.who}")
    if label is Label.IGNORE and group.box_xyxy is None:
        raise NotPossible(f"group {group.id} is of whole frames: there is no place of it to ignore")
    feedback = context.feedback
    labelled = group.model_copy(
        update={
            "label": label,
            "feedback_id": feedback.id,
            "who": feedback.who,
            "why": feedback.why,
            "at": context.at,
        }
    )
    facts: EventFacts = {**facts_of(labelled), "label_before": group.label.value}
    return context.done(BankEventKind.LABELLED, replaced(context.state.annotations, labelled), facts)


def _undone(context: FeedbackContext) -> Transition:
    """A word on a frame goes with its annotation; a group is open again."""
    before, annotation = context.state.annotations, _annotation(context)
    if annotation.origin == "feedback":
        left = tuple(each for each in before if each is not annotation)
    elif annotation.label is Label.OPEN:
        raise NotPossible(f"group {annotation.id} is open: there is no word on it to take back")
    else:
        reopened = {"label": Label.OPEN, "feedback_id": None, "who": context.feedback.who, "why": context.feedback.why}
        left = replaced(before, annotation.model_copy(update={**reopened, "at": context.at}))
    return context.done(BankEventKind.LABEL_REMOVED, left, facts_of(annotation))


def _annotation(context: FeedbackContext) -> FrameAnnotation:
    """What the word is about: by its id, or by the id of the word that labelled it."""
    named, annotations = str(context.feedback.annotation), context.state.annotations
    by_word = (each for each in annotations if each.feedback_id == named)
    annotation = found(annotations, named) or next(by_word, None)
    if annotation is None:
        raise NotPossible(f"this view has no annotation {named}; `patchline review list` shows those it has")
    return annotation


def _frame(context: FeedbackContext) -> Frame:
    source, view = context.feedback.source, context.feedback.view
    if source is None:  # the contract refuses it
        raise NotPossible(f"{context.feedback.kind.value} names no frame")
    frame = context.frames.frame(source)
    if frame.view != view:
        raise NotPossible(f"the frame at {source} is of view {frame.view}, not of {view}")
    return frame


def _annotation_of(context: FeedbackContext, frame: Frame) -> FrameAnnotation:
    feedback = context.feedback
    exemplar = Exemplar(source=frame.source, frame_id=frame.frame_id, path=exemplar_path(feedback.view, feedback.id, 0))
    return FrameAnnotation(
        id=feedback.id,
        label=LABELS[feedback.kind],
        origin="feedback",
        box_xyxy=_box_shares(feedback.box_xyxy_px, frame.encoded),
        exemplars=(exemplar,),
        escaped=feedback.kind is FeedbackKind.ESCAPED_DEFECT,
        feedback_id=feedback.id,
        who=feedback.who,
        why=feedback.why,
        at=context.at,
        found_at=context.at,
    )


def _box_shares(box_xyxy_px: FeedbackBox | None, encoded: bytes) -> FeedbackBox | None:
    """A box as shares of the frame's width and height, as far as it lies on the frame."""
    try:
        header = read_header(encoded)
    except UndecodableImage as error:
        raise NotPossible(f"the frame cannot be decoded: {error}") from error
    if box_xyxy_px is None:
        return None
    x0, x1 = (min(max(x / header.width_px, 0.0), 1.0) for x in box_xyxy_px[::2])
    y0, y1 = (min(max(y / header.height_px, 0.0), 1.0) for y in box_xyxy_px[1::2])
    if not (x0 < x1 and y0 < y1):
        raise NotPossible(
            f"box {', '.join(f'{side:g}' for side in box_xyxy_px)} (left, top, right, bottom) has no area on the frame "
            f"of {header.width_px} x {header.height_px} pixels"
        )
    return (x0, y0, x1, y1)


def _same_place(before: FrameAnnotation, now: FrameAnnotation) -> bool:
    if before.origin != "feedback" or before.box_xyxy != now.box_xyxy:
        return False
    return [each.source for each in before.exemplars] == [each.source for each in now.exemplars]


def _effect_on(state: BankState) -> Effect:
    """A bank in force is replaced at once; a first one that is being built starts anew, and a held view waits."""
    if state.state is ViewState.HELD:
        return Effect.NONE
    return Effect.POSTPONE if state.active is None else Effect.REPLACE_BUILD


def _refused(context: FeedbackContext, reason: str) -> Transition:
    feedback = context.feedback
    # Of the state only `feedback_through` changes.
    state = changed(context.state, Initiator(context.state.by, context.state.why), context.at)
    facts: EventFacts = {"feedback": feedback.kind.value, "requested_because": feedback.why}
    refusal = Initiator(feedback.who, reason, feedback.id)
    return Transition(state, (event_of(state, BankEventKind.FEEDBACK_REFUSED, refusal, facts=facts, at=context.at),))
