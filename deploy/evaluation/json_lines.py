"""Rows as JSON lines: what is measured is appended at once, so that an interrupted study can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from deploy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Line = TypeVar("Line", bound=BaseModel)


def read_lines(path: Path, kind: type[Line]) -> list[Line]:
    """The rows of a file, in order; none where there is no file. Raises UsageError for a file of other rows."""
    if not path.exists():
        return []
    try:
        return [kind.model_validate_json(line) for line in path.read_text().splitlines() if line]
    except ValidationError as error:
        raise UsageError(f"{path} holds other rows ({error.errors()[0]['msg']}): use another --out") from error


def append_lines(path: Path, lines: Sequence[BaseModel]) -> None:
    """Add rows at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.writelines(line.model_dump_json() + "\n" for line in lines)
