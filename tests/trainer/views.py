"""Views as the tests of this folder need them."""

from __future__ import annotations

from datetime import UTC, datetime

from ingest.bank_state import BankInForce, BankState, ViewState
from ingest.contract import SourceRecord
from ingest.view import file_name
from trainer.window import KeptFrame, WindowIndex

VIEW = "line-1/camera-1"
GRAPH = "0" * 64
AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 5, 4, 13, 0, tzinfo=UTC)


def bank(digit: str, *, threshold: float = 2.0, graph_hash: str = GRAPH) -> BankInForce:
    """A bank whose version is one digit repeated."""
    version = digit * 64
    uri = f"banks/{file_name(VIEW)}/{version}.safetensors"
    return BankInForce(version=version, uri=uri, graph_hash=graph_hash, threshold=threshold)


def state(kind: ViewState = ViewState.ACTIVE, **changes: object) -> BankState:
    """A view's state at epoch 7."""
    fields: dict[str, object] = {"view": VIEW, "epoch": 7, "state": kind, "by": "trainer", "why": "so far", "at": AT}
    if kind is not ViewState.LEARNING:
        fields |= {"active": bank("a"), "previous": bank("b")}
    return BankState.model_validate(fields | changes)


def source(offset: int, *, partition: int = 0, topic: str = "frames") -> SourceRecord:
    """Where a frame stands in Kafka."""
    return SourceRecord(topic=topic, partition=partition, offset=offset)


def window(frames: int, **changes: object) -> WindowIndex:
    """A window of so many frames, none thinned yet."""
    held = tuple(
        KeptFrame(
            partition=0,
            offset=number,
            number=number,
            frame_id=f"f{number}",
            sha256=f"{number:064x}",
            size_bytes=100,
            appended_ms=number,
            difference_hash=f"{number:016x}",
        )
        for number in range(frames)
    )
    index = WindowIndex(view=VIEW, topic="frames", home=0, seen=frames, frames=held, next_offsets={0: frames})
    return index.model_copy(update=changes)
