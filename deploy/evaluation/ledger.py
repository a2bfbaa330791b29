"""What has been measured so far: rows and their frame scores as JSON lines, so that an interrupted study goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from deploy.errors import UsageError
from deploy.evaluation.results.rows import FrameScores, Row

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.evaluation.results.rows import RowKey

ROWS = "rows.jsonl"
SCORES = "scores.jsonl"

Line = TypeVar("Line", bound=BaseModel)


@dataclass(frozen=True)
class Ledger:
    """A folder with `rows.jsonl` and `scores.jsonl`. A row counts only once its scores are there: they come first."""

    folder: Path

    def rows(self) -> list[Row]:
        """All rows, in the order they were measured. Raises UsageError for a file that is not ours."""
        return list(_read(self.folder / ROWS, Row))

    def scores(self) -> dict[RowKey, FrameScores]:
        """Frame scores by row key."""
        return {line.key: line for line in _read(self.folder / SCORES, FrameScores)}

    def done(self) -> set[RowKey]:
        """The experiments that need not be run again."""
        return {row.key for row in self.rows()}

    def append(self, rows: list[Row], scores: list[FrameScores]) -> None:
        """Add finished experiments."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _append(self.folder / SCORES, scores)
        _append(self.folder / ROWS, rows)


def _read(path: Path, kind: type[Line]) -> list[Line]:
    if not path.exists():
        return []
    lines = [line for line in path.read_text().splitlines() if line]
    try:
        return [kind.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise UsageError(
            f"{path} is not a ledger of this release ({error.errors()[0]['msg']}): use another --out"
        ) from error


def _append(path: Path, lines: list[Row] | list[FrameScores]) -> None:
    with path.open("a") as file:
        file.writelines(line.model_dump_json() + "\n" for line in lines)
