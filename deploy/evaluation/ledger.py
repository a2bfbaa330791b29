"""The ledger of a study: rows and their frame scores, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploy.evaluation.json_lines import append_lines, read_lines
from deploy.evaluation.results.rows import FrameScores, Row

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.evaluation.results.rows import RowKey

ROWS = "rows.jsonl"
SCORES = "scores.jsonl"


@dataclass(frozen=True)
class Ledger:
    """A folder with `rows.jsonl` and `scores.jsonl`. A row counts only once its scores are there: they come first."""

    folder: Path

    def rows(self) -> list[Row]:
        """All rows, in the order they were measured. Raises UsageError for a file of other rows."""
        return read_lines(self.folder / ROWS, Row)

    def scores(self) -> dict[RowKey, FrameScores]:
        """Frame scores by row key."""
        return {line.key: line for line in read_lines(self.folder / SCORES, FrameScores)}

    def done(self) -> set[RowKey]:
        """The experiments that need not be run again."""
        return {row.key for row in self.rows()}

    def append(self, rows: list[Row], scores: list[FrameScores]) -> None:
        """Add finished experiments."""
        append_lines(self.folder / SCORES, scores)
        append_lines(self.folder / ROWS, rows)
