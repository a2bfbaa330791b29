"""The history as a table for other programs: CSV, or Parquet with the parquet extra."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import select

from monitoring.record.schema import decisions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import Self

    from monitoring.record.database import Database

AT_ONCE = 10_000
COLUMNS = (
    "decided_at",
    "view",
    "id",
    "frame_id",
    "part_serial",
    "verdict",
    "reason",
    "provisional",
    "score",
    "threshold",
    "score_ratio",
    "bank",
    "epoch",
    "frames_topic",
    "frames_partition",
    "frames_offset",
    "picture",
)


class NoParquet(Exception):
    """The parquet extra is not installed."""

    def __init__(self) -> None:
        super().__init__("Parquet needs the parquet extra: pip install 'patchline[parquet]', or write a .csv file")


class RowFile(Protocol):
    """A file of rows, some at a time; a context manager."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class CsvFile:
    """Moments are RFC 3339 in UTC; what is absent is empty."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._writer.writeheader()

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows."""
        self._writer.writerows({**row, "decided_at": row["decided_at"].isoformat()} for row in rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


class ParquetFile:
    """Moments are timestamps in UTC; what is absent is null. Raises NoParquet."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 -- an extra
            from pyarrow import parquet  # noqa: PLC0415 -- an extra
        except ImportError as error:
            raise NoParquet from error
        text, real, whole = pa.string(), pa.float64(), pa.int64()
        kinds = {
            "decided_at": pa.timestamp("us", tz="UTC"),
            "provisional": pa.bool_(),
            **dict.fromkeys(("score", "threshold", "score_ratio"), real),
            **dict.fromkeys(("epoch", "frames_partition", "frames_offset"), whole),
        }
        self._schema = pa.schema([(name, kinds.get(name, text)) for name in COLUMNS])
        self._table = pa.Table
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, as a group of their own."""
        self._writer.write_table(self._table.from_pylist([dict(row) for row in rows], schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()


def exported(database: Database, file: RowFile, *, view: str | None, since: datetime, until: datetime) -> int:
    """Write decisions of a time, oldest first, and return how many. Raises DatabaseError."""
    count = 0
    for rows in _rows(database, view, since, until):
        file.write(rows)
        count += len(rows)
    return count


def _rows(
    database: Database, view: str | None, since: datetime, until: datetime
) -> Iterator[Sequence[Mapping[str, Any]]]:
    wanted = select(*(decisions.c[name] for name in COLUMNS)).where(
        decisions.c.decided_at >= since, decisions.c.decided_at < until
    )
    if view is not None:
        wanted = wanted.where(decisions.c.view == view)
    with database.reading() as connection:
        found = connection.execution_options(yield_per=AT_ONCE).execute(wanted.order_by(decisions.c.decided_at))
        for part in found.mappings().partitions():
            yield [dict(row) for row in part]
