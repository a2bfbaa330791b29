"""Decisions as inference would publish them, of made-up lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ingest.contract import SourceRecord
from ingest.decision import BankRef, Decision, ImageFacts, Verdict, decision_id

if TYPE_CHECKING:
    from monitoring.drift.observation import Observation

AT = datetime(2026, 11, 24, 6, tzinfo=UTC)
VIEW = "line-1/top"
VERSION = "a1" * 32
SOURCE = SourceRecord(topic="frames", partition=0, offset=0)


def decision(
    *,
    frame_id: str = "run-0",
    view: str = VIEW,
    sequence: int | None = None,
    seen: Observation | None = None,
    threshold: float = 30.0,
    version: str = VERSION,
    at_seconds: float = 0.0,
) -> Decision:
    """One decision; `seen` is what drift shall find in it, a plain frame without it."""
    values = [20.0, 120.0, 40.0, 10.0, 0.02, 0.01] if seen is None else seen.values.tolist()
    score, brightness, contrast, sharpness, dark_ratio, saturated_ratio = values
    at = AT + timedelta(seconds=at_seconds)
    return Decision(
        id=decision_id(view, frame_id),
        view=view,
        frame_id=frame_id,
        source=SOURCE,
        verdict=Verdict.FAIL if score > threshold else Verdict.PASS,
        score=score,
        threshold=threshold,
        score_ratio=score / threshold,
        bank=BankRef(version=version, epoch=1),
        image=ImageFacts(
            brightness=brightness,
            contrast=contrast,
            sharpness=sharpness,
            dark_ratio=min(dark_ratio, 1.0),
            saturated_ratio=min(saturated_ratio, 1.0),
        ),
        difference_hash="00ff00ff00ff00ff" if seen is None else seen.difference_hash,
        sketch=(0.0,) * 32 if seen is None else tuple(seen.sketch.tolist()),
        sequence=sequence,
        appended_at=at,
        decided_at=at,
    )
