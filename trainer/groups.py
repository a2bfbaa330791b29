"""What a build found, brought together with what is known of the view: annotations, events, and frames to keep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingest.annotation import EXEMPLARS, Exemplar, FrameAnnotation, Label
from ingest.bank_event import BankEventKind
from ingest.bank_state import BankState
from ingest.contract import SourceRecord
from ingest.store_layout import exemplar_path
from trainer.annotations import added, found, replaced
from trainer.feedback import dropped_event, facts_of
from trainer.transition import TRAINER, FileCopy, Initiator, NotPossible, Transition, event_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ingest.bank_event import BankEvent
    from softpatch.manifest import GroupRecord
    from trainer.build_order import BuildOrder
    from trainer.transition import EventFacts

WHY = "a build found frames that are alike and unlike the many: what are they?"


@dataclass(frozen=True)
class WindowFrame:
    """A frame that a build read: where it stands in Kafka, and in the store."""

    source: SourceRecord
    path: str


def frames_of(order: BuildOrder) -> dict[str, WindowFrame]:
    """The window's frames of an order, by the name that the bank's manifest has for them: their frame id."""
    topic, places = order.provenance["topic"], order.provenance["frames"]
    return {
        name: WindowFrame(SourceRecord.from_provenance(places[name], topic), path)
        for name, path in zip(order.frame_names, order.frames, strict=True)
    }


def with_groups(
    transition: Transition, groups: Sequence[GroupRecord], frames: Mapping[str, WindowFrame], *, at: datetime
) -> Transition:
    """The transition of a build with the groups it found: each new one is an open annotation, and an event.

    Known ones have their frames counted anew. The same build gives the same ids, so that one whose state was not
    written before a crash asks nothing twice. One that finds no room among the annotations is told of with each build.
    """
    if transition.state is None:
        return transition
    merged = _Merged(_seen_anew(transition.state, groups), transition.events)
    for group in groups:
        known = found(merged.state.annotations, group.id)
        if known is None:
            merged = _with_new(merged, group, frames, at=at)
        elif group.is_new:  # the build did not have its frames: they were lost with the store
            merged = _with_frames(merged, known, group, frames)
    return Transition(merged.state, merged.events, transition.effect, (*transition.files, *merged.files))


@dataclass(frozen=True)
class _Merged:
    """How far the groups of a build are brought into a state."""

    state: BankState
    events: tuple[BankEvent, ...]
    files: tuple[FileCopy, ...] = ()


def _seen_anew(state: BankState, groups: Sequence[GroupRecord]) -> BankState:
    """The state with how many frames of the window show each known group: none where the build did not find it."""
    counts = {group.id: (group.frames, group.share) for group in groups}
    annotations = []
    for each in state.annotations:
        frames, share = counts.get(each.id, (0, 0.0))
        known = each.origin == "group"
        annotations.append(each.model_copy(update={"frames": frames, "share": share}) if known else each)
    return _with_annotations(state, tuple(annotations))


def _with_new(merged: _Merged, group: GroupRecord, frames: Mapping[str, WindowFrame], *, at: datetime) -> _Merged:
    state = merged.state
    annotation = _annotation_of(state.view, group, frames, at=at)
    facts: EventFacts = {**facts_of(annotation), "frames": group.frames, "share": group.share}
    try:
        with_it = added(state.annotations, annotation)
    except NotPossible as refusal:
        finder = Initiator(TRAINER, f"{WHY} It is not listed: {refusal}")
        unlisted = event_of(state, BankEventKind.GROUP_FOUND, finder, facts=facts, at=at)
        return replace(merged, events=(*merged.events, unlisted))
    state = _with_annotations(state, with_it.annotations)
    told = [event_of(state, BankEventKind.GROUP_FOUND, Initiator(TRAINER, WHY), facts=facts, at=at)]
    if with_it.dropped is not None:
        told.append(dropped_event(state, with_it.dropped, at=at))
    return _Merged(state, (*merged.events, *told), (*merged.files, *_copies(annotation, frames)))


def _with_frames(
    merged: _Merged, known: FrameAnnotation, group: GroupRecord, frames: Mapping[str, WindowFrame]
) -> _Merged:
    """A known group with frames of this window as its exemplars."""
    shown = known.model_copy(update={"exemplars": _exemplars(merged.state.view, group, frames)})
    state = _with_annotations(merged.state, replaced(merged.state.annotations, shown))
    return _Merged(state, merged.events, (*merged.files, *_copies(shown, frames)))


def _annotation_of(
    view: str, group: GroupRecord, frames: Mapping[str, WindowFrame], *, at: datetime
) -> FrameAnnotation:
    return FrameAnnotation(
        id=group.id,
        label=Label.OPEN,
        origin="group",
        box_xyxy=None if group.whole_frame else _on_the_frame(group.box_xyxy),
        exemplars=_exemplars(view, group, frames),
        frames=group.frames,
        share=group.share,
        who=TRAINER,
        why=WHY,
        at=at,
        found_at=at,
    )


def _exemplars(view: str, group: GroupRecord, frames: Mapping[str, WindowFrame]) -> tuple[Exemplar, ...]:
    """The most typical members that are of the window; those that the build had from the store are kept there."""
    names = [name for name in group.examples if name in frames][:EXEMPLARS]
    return tuple(
        Exemplar(source=frames[name].source, frame_id=name, path=exemplar_path(view, group.id, number))
        for number, name in enumerate(names)
    )


def _copies(annotation: FrameAnnotation, frames: Mapping[str, WindowFrame]) -> tuple[FileCopy, ...]:
    return tuple(FileCopy(each.path, frames[each.frame_id].path) for each in annotation.exemplars)


def _on_the_frame(box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box without what rounding leaves beyond the frame."""
    x0, y0, x1, y1 = (min(max(side, 0.0), 1.0) for side in box_xyxy)
    return (x0, y0, x1, y1)


def _with_annotations(state: BankState, annotations: tuple[FrameAnnotation, ...]) -> BankState:
    # Not model_copy: a copy is not validated.
    return BankState.model_validate({**dict(state), "annotations": annotations})
