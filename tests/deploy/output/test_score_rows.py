"""Rows of scored pictures: what a person and a script read of each."""

from __future__ import annotations

import csv

import pytest

from deploy.offline.score_files import ScoreRow
from deploy.output.score_rows import RowFormat, lines_of

FIGURES: dict[str, object] = {
    "score": 8.0,
    "threshold": 2.0,
    "score_ratio": 4.0,
    "verdict": "undecided",
    "reason": "no_part",
    "input_fault": None,
    "regions": [],
}


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({}, "belt.jpg  (no_part)"),
        ({"reason": "input_fault", "input_fault": "black"}, "belt.jpg  (black)"),
        ({"verdict": "pass", "reason": None}, "belt.jpg"),
    ],
)
def test_an_undecided_picture_says_why(changes: dict[str, object], ending: str) -> None:
    """The kind of fault where there is one; no part in the picture is no fault."""
    (line,) = lines_of([ScoreRow("belt.jpg", {**FIGURES, **changes})], None)
    assert line.endswith(ending)


def test_scripts_find_the_reason_in_its_column() -> None:
    """As decisions name it."""
    head, row = csv.reader(lines_of([ScoreRow("belt.jpg", FIGURES)], RowFormat.CSV))
    cells = dict(zip(head, row, strict=True))
    assert (cells["verdict"], cells["reason"], cells["input_fault"]) == ("undecided", "no_part", "")
