"""Decided frames, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import cv2
import numpy as np

from deploy.pictures.annotated_frame import AnnotatedFrame
from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, DefectRegion, Reason, SmallMap, Verdict, decision_id
from softpatch.images.geometry import FrameGeometry

if TYPE_CHECKING:
    from collections.abc import Sequence

AT = datetime(2026, 11, 24, tzinfo=UTC)
VIEW = "line-1/camera-1"


def source(offset: int, partition: int = 0) -> SourceRecord:
    """An input record."""
    return SourceRecord(topic="frames", partition=partition, offset=offset)


def decided(
    ratio: float | None,
    *,
    offset: int = 0,
    patch_scores: np.ndarray | None = None,
    regions: Sequence[tuple[float, float, float, float]] = (),
    size_wh: tuple[int, int] | None = None,
    late: bool = False,
) -> Decision:
    """A decision by a bank with threshold 2; without a ratio, or late, undecided."""
    scored = ratio is not None
    verdict = Verdict.FAIL if scored and ratio > 1 else Verdict.PASS
    return Decision(
        id=decision_id(VIEW, str(offset)),
        view=VIEW,
        frame_id=str(offset),
        source=source(offset),
        verdict=verdict if scored and not late else Verdict.UNDECIDED,
        reason=None if scored and not late else Reason.DEADLINE if scored else Reason.NO_SCORE,
        score=2 * ratio if scored else None,
        threshold=2.0 if scored else None,
        score_ratio=ratio,
        bank=BankRef(version="a1" * 32, epoch=1) if scored else None,
        anomaly_map=None if patch_scores is None else SmallMap.of(patch_scores),
        regions=tuple(DefectRegion(box_xyxy_px=box, peak_ratio=ratio or 0.0) for box in regions),
        size_wh_px=size_wh,
        appended_at=AT,
        decided_at=AT,
    )


def shown(
    ratio: float | None, *, label: str | None = None, name: str = "frame", size_wh: tuple[int, int]
) -> AnnotatedFrame:
    """A gray frame, ready for a contact sheet."""
    image = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    encoded = cv2.imencode(".png", image)[1].tobytes()
    return AnnotatedFrame(name, encoded, decided(ratio, size_wh=size_wh), FrameGeometry(), label)
