"""Annotations, groups and words as the tests of this folder need them."""

from __future__ import annotations

from typing import Any

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.contract import SourceRecord
from ingest.feedback import Feedback
from ingest.store_layout import exemplar_path
from softpatch.manifest import GroupRecord
from tests.trainer.views import AT, VIEW


def group(identity: str = "g00000001", label: Label = Label.OPEN, **changes: object) -> FrameAnnotation:
    """A group at the upper left that three frames of the window show."""
    said: dict[str, Any] = {
        "id": identity,
        "label": label,
        "origin": "group",
        "box_xyxy": (0.0, 0.0, 0.25, 0.5),
        "exemplars": (exemplar(identity, 4),),
        "frames": 3,
        "share": 0.15,
        "who": "trainer",
        "why": "found",
        "at": AT,
        "found_at": AT,
    }
    return FrameAnnotation.model_validate(said | changes)


def exemplar(annotation: str, offset: int, number: int = 0) -> Exemplar:
    """The frame at an offset, kept for an annotation."""
    return Exemplar(source=place(offset), frame_id=f"0-{offset}", path=exemplar_path(VIEW, annotation, number))


def place(offset: int) -> SourceRecord:
    """A frame's place in Kafka."""
    return SourceRecord(topic="frames", partition=0, offset=offset)


def word(kind: str, **said: object) -> Feedback:
    """A word of Ana's."""
    whole: dict[str, Any] = {"id": "w-1", "view": VIEW, "kind": kind, "who": "ana", "why": "I looked", "at": AT}
    return Feedback.model_validate(whole | said)


def found_group(identity: str = "g00000001", offsets: tuple[int, ...] = (4, 2, 7), **changes: object) -> GroupRecord:
    """A group of a manifest, of the frames at these offsets; the first is the most typical."""
    names = [f"0-{offset}" for offset in offsets]
    said: dict[str, Any] = {
        "id": identity,
        "label": "open",
        "is_new": True,
        "frames": len(names),
        "share": 0.15,
        "box_xyxy": (0.0, 0.0, 0.25, 0.5),
        "whole_frame": False,
        "examples": names[:8],
        "members": names,
    }
    return GroupRecord.model_validate(said | changes)
