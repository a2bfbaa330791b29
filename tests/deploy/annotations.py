"""Groups and words on frames, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.annotation import Exemplar, FrameAnnotation, Label
from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.contract import SourceRecord

AT = datetime(2026, 5, 4, 12, tzinfo=UTC)
VIEW = "line-1/camera-1"
CORNER = (0.75, 0.0, 1.0, 0.25)


def annotation(identity: str, label: Label = Label.OPEN, *, hours: int = 0, **changes: object) -> FrameAnnotation:
    """A group of 16 frames in 400 at the upper right, found so many hours after the first."""
    fields: dict[str, object] = {
        "id": identity,
        "label": label,
        "origin": "group",
        "box_xyxy": CORNER,
        "frames": 16,
        "share": 0.04,
        "who": "trainer" if label is Label.OPEN else "ana",
        "why": "found by a build" if label is Label.OPEN else "worn tool",
        "at": AT,
        "found_at": AT + timedelta(hours=hours),
    }
    return FrameAnnotation.model_validate(fields | changes)


def exemplar(number: int, path: str) -> Exemplar:
    """A frame of a group, kept at that path of the store."""
    source = SourceRecord(topic="frames", partition=0, offset=number)
    return Exemplar(source=source, frame_id=f"frame-{number}", path=path)


def view_state(
    *annotations: FrameAnnotation, view: str = VIEW, active: BankInForce | None = None, **changes: object
) -> BankState:
    """A view with these annotations; learning, where it has no bank."""
    fields: dict[str, object] = {
        "view": view,
        "epoch": 3,
        "state": ViewState.LEARNING if active is None else ViewState.ACTIVE,
        "active": active,
        "annotations": annotations,
        "by": "trainer",
        "why": "so far",
        "at": AT,
    }
    return BankState.model_validate(fields | changes)
