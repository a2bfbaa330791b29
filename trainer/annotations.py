"""The annotations of a view as a list of bounded length: one comes, and what is needed least makes room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.annotation import Label
from trainer.transition import NotPossible

if TYPE_CHECKING:
    from ingest.annotation import FrameAnnotation

MOST_ANNOTATIONS = 100
"""Of a view: they all stand in its bank state, which is one Kafka message, and every build reads their frames."""

Annotations = tuple["FrameAnnotation", ...]


@dataclass(frozen=True)
class Added:
    """Annotations with a new one among them, and the one that made room for it."""

    annotations: Annotations
    dropped: FrameAnnotation | None = None


def found(annotations: Annotations, identity: str) -> FrameAnnotation | None:
    """The annotation of this id."""
    return next((each for each in annotations if each.id == identity), None)


def replaced(annotations: Annotations, changed: FrameAnnotation) -> Annotations:
    """The same with the annotation of that id changed."""
    return tuple(changed if each.id == changed.id else each for each in annotations)


def added(annotations: Annotations, new: FrameAnnotation) -> Added:
    """The annotations with a new one at the end.

    Where there are too many, a group goes that no frame of the latest window showed: the answered one whose answer is
    oldest, or where there is none the open one that was found first. Words on frames never go by themselves.

    Raises:
        NotPossible: nothing can go.
    """
    if len(annotations) < MOST_ANNOTATIONS:
        return Added((*annotations, new))
    unseen = [each for each in annotations if each.origin == "group" and not each.frames]
    if not unseen:
        raise NotPossible(
            f"the view has {MOST_ANNOTATIONS} annotations, and all are in use: take one back (undo) to make room"
        )
    least = min(unseen, key=lambda each: (each.label is Label.OPEN, each.at))
    return Added((*(each for each in annotations if each is not least), new), least)
