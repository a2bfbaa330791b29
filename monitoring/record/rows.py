"""Decisions as rows, and back."""

from __future__ import annotations

import zlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json

from ingest.contract import BadMessage
from ingest.decision import Decision, Verdict
from monitoring.record.schema import PictureState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Row

COMPRESSION = 1
"""Of zlib: a map of scores hardly gets smaller by more."""
ONLY_WITH_PICTURE = {"anomaly_map", "sketch"}
COMPRESSED = b"\x78"
"""How what zlib wrote begins; JSON begins with a bracket."""
OF_COLUMNS = {
    "id",
    "view",
    "frame_id",
    "source",
    "verdict",
    "reason",
    "provisional",
    "score",
    "threshold",
    "score_ratio",
    "bank",
    "part_serial",
    "decided_at",
}
"""Fields of a decision that columns of their own hold."""


def decision_row(decision: Decision, picture: PictureState) -> dict[str, Any]:
    """The row of a decision; a pass without a picture is kept without map and sketch.

    What is left of such a pass is not compressed: there is little to gain, and zlib releases the interpreter lock, so
    that each of a thousand rows a second waited for other threads.
    """
    light = picture is PictureState.NOT_KEPT
    rest = decision.model_dump_json(exclude_none=True, exclude=OF_COLUMNS | ONLY_WITH_PICTURE if light else OF_COLUMNS)
    return {
        "decided_at": decision.decided_at,
        "id": decision.id,
        "view": decision.view,
        "verdict": decision.verdict.value,
        "reason": decision.reason and decision.reason.value,
        "provisional": decision.provisional,
        "score": decision.score,
        "threshold": decision.threshold,
        "score_ratio": decision.score_ratio,
        "bank": decision.bank and decision.bank.version,
        "epoch": decision.bank and decision.bank.epoch,
        "frame_id": decision.frame_id,
        "part_serial": decision.part_serial,
        "frames_topic": decision.source.topic,
        "frames_partition": decision.source.partition,
        "frames_offset": decision.source.offset,
        "picture": picture.value,
        "picture_bytes": 0,
        "rest": rest.encode() if light else zlib.compress(rest.encode(), COMPRESSION),
    }


def decision_of(row: Row[*tuple[Any, ...]]) -> Decision:
    """The decision in a row of `decisions`. Raises BadMessage where a later release wrote it."""
    rest = zlib.decompress(row.rest) if row.rest.startswith(COMPRESSED) else row.rest
    fields = {
        **from_json(rest),
        **{name: getattr(row, name) for name in OF_COLUMNS - {"source", "bank"}},
        "bank": None if row.bank is None else {"version": row.bank, "epoch": row.epoch},
    }
    if row.frames_topic is not None:  # else it was written before several topics were read, with all fields in `rest`
        fields["source"] = {
            "topic": row.frames_topic,
            "partition": row.frames_partition,
            "offset": row.frames_offset,
        }
    try:
        return Decision.model_validate(fields, extra="ignore")
    except ValidationError as error:
        raise BadMessage(f"the row of decision {row.id} holds no decision: {error}") from error


@dataclass
class MinuteCounts:
    """What one view decided within a minute; sums are over the frames that have the quantity."""

    passed: int = 0
    failed: int = 0
    undecided: int = 0
    scored: int = 0
    ratio_sum: float = 0.0
    ratio_max: float = 0.0
    pictured: int = 0
    brightness_sum: float = 0.0
    contrast_sum: float = 0.0
    sharpness_sum: float = 0.0

    def count(self, decision: Decision) -> None:
        """One decision more."""
        self.passed += decision.verdict is Verdict.PASS
        self.failed += decision.verdict is Verdict.FAIL
        self.undecided += decision.verdict is Verdict.UNDECIDED
        if decision.score_ratio is not None:
            self.scored += 1
            self.ratio_sum += decision.score_ratio
            self.ratio_max = max(self.ratio_max, decision.score_ratio)
        if decision.image is not None:
            self.pictured += 1
            self.brightness_sum += decision.image.brightness
            self.contrast_sum += decision.image.contrast
            self.sharpness_sum += decision.image.sharpness


def counts_by_minute(decisions: Iterable[Decision]) -> Mapping[tuple[str, datetime], MinuteCounts]:
    """The counts of each view and minute."""
    found: dict[tuple[str, datetime], MinuteCounts] = defaultdict(MinuteCounts)
    for each in decisions:
        found[each.view, each.decided_at.replace(second=0, microsecond=0)].count(each)
    return found


@dataclass
class PassSample:
    """Which passes are pictured: the first of each view, then one in so many seconds by the clock of the decisions."""

    every_seconds: float
    _last: dict[str, datetime] = field(default_factory=dict)

    def picture_of(self, decision: Decision) -> PictureState:
        """Whether the picture of a decision is to be kept."""
        if decision.verdict is not Verdict.PASS:
            return PictureState.WAITING
        last = self._last.get(decision.view)
        if last is not None and 0 <= (decision.decided_at - last).total_seconds() < self.every_seconds:
            return PictureState.NOT_KEPT
        self._last[decision.view] = decision.decided_at
        return PictureState.WAITING
