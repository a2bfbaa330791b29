"""Decisions of a made-up line, and the frames they are about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, DefectRegion, ImageFacts, NearestPatch, Reason, SmallMap, Verdict
from ingest.decision import decision_id as id_of
from ingest.kafka.records import Record
from tests.monitoring.decisions import AT, VERSION, VIEW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ingest.kafka.records import Partition


def made(
    number: int,
    verdict: Verdict = Verdict.PASS,
    *,
    view: str = VIEW,
    seconds: float | None = None,
    ratio: float | None = None,
    reason: Reason | None = None,
    serial: str | None = None,
) -> Decision:
    """Decision `number` of a view: a second after the one before it, unless `seconds` says otherwise."""
    at = AT + timedelta(seconds=number if seconds is None else seconds)
    if verdict is Verdict.UNDECIDED and reason is None:
        reason = Reason.LEARNING
    scored = reason is not Reason.LEARNING
    chosen = (1.5 if verdict is Verdict.FAIL else 0.5) if ratio is None else ratio
    scores = np.full((4, 6), 2.0 * chosen * 0.5, np.float32)
    scores[1, 2] = 2.0 * chosen
    return Decision(
        id=id_of(view, f"run-{number}"),
        view=view,
        frame_id=f"run-{number}",
        source=SourceRecord(topic="frames", partition=0, offset=number),
        verdict=verdict,
        reason=reason,
        score=2.0 * chosen if scored else None,
        threshold=2.0 if scored else None,
        score_ratio=chosen if scored else None,
        bank=BankRef(version=VERSION, epoch=1) if scored else None,
        regions=(DefectRegion(box_xyxy_px=(16.0, 8.0, 24.0, 16.0), peak_ratio=chosen),) if chosen > 1 else (),
        anomaly_map=SmallMap.of(scores) if scored else None,
        nearest=NearestPatch(source_frame="run-0", row=1, column=2) if scored else None,
        image=ImageFacts(brightness=100.0 + number, contrast=30.0, sharpness=9.0, dark_ratio=0.1, saturated_ratio=0.0),
        size_wh_px=(48, 32),
        sketch=tuple(float(i == number % 3) for i in range(32)),
        part_serial=serial,
        appended_at=at,
        decided_at=at,
    )


def picture(number: int, *, width_px: int = 48, height_px: int = 32) -> bytes:
    """A PNG that shows its number as a shade."""
    done, encoded = cv2.imencode(".png", np.full((height_px, width_px, 3), number % 256, np.uint8))
    assert done
    return encoded.tobytes()


class Frames:
    """Frames as Kafka would give them; what is in `gone` has expired."""

    def __init__(self, view: str = VIEW) -> None:
        self.view = view
        self.gone: set[int] = set()
        self.asked: dict[Partition, list[int]] = {}

    def fetch(self, partition: Partition, offsets: Iterable[int], *, timeout_seconds: float) -> Iterator[Record | None]:
        """The frame at each offset."""
        assert timeout_seconds > 0
        for offset in offsets:
            self.asked.setdefault(partition, []).append(offset)
            yield None if offset in self.gone else self._record(partition, offset)

    def _record(self, partition: Partition, offset: int) -> Record:
        return Record(
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
            timestamp_ms=0,
            timestamp_type="log_append_time",
            key=self.view.encode(),
            value=picture(offset),
            headers=(("frame-id", f"run-{offset}".encode()),),
        )
