"""Rows of scored pictures as text: for people, as CSV, or as JSON lines."""

from __future__ import annotations

import csv
import io
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deploy.offline.score_files import ScoreRow


class RowFormat(StrEnum):
    """How rows are written for scripts."""

    CSV = "csv"
    JSONL = "jsonl"


COLUMNS = (
    *("image", "verdict", "reason", "input_fault", "score", "threshold", "score_ratio"),
    *("worst_box_xyxy_px", "error"),
)
"""Of the CSV; the box is the worst region's, four numbers apart by spaces."""


def lines_of(rows: Iterable[ScoreRow], row_format: RowFormat | None) -> Iterator[str]:
    """A line for each row, as it comes; CSV begins with its column names. Without a format: for people."""
    if row_format is RowFormat.CSV:
        yield _csv_line(COLUMNS)
    for row in rows:
        yield _line(row, row_format)


def _line(row: ScoreRow, row_format: RowFormat | None) -> str:
    if row_format is RowFormat.JSONL:
        return json.dumps(row.to_json(), allow_nan=False)
    if row_format is RowFormat.CSV:
        return _csv_line(_csv_cells(row))
    return _text_line(row)


def _csv_cells(row: ScoreRow) -> list[object]:
    figures: dict[str, Any] = row.to_json()
    boxes = [each["box_xyxy_px"] for each in figures.get("regions", ())]
    worst_box = " ".join(map(str, boxes[0])) if boxes else None
    return [worst_box if name == "worst_box_xyxy_px" else figures.get(name) for name in COLUMNS]


def _csv_line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _text_line(row: ScoreRow) -> str:
    if row.figures is None:
        return f"NOT SCORED        {row.image}: {row.error}"
    figures: dict[str, Any] = row.figures
    reason = figures["input_fault"] or figures["reason"]
    why = f"  ({reason})" if reason else ""
    return f"{figures['verdict'].upper():<10} {figures['score_ratio']:6.2f} {row.image}{why}"
