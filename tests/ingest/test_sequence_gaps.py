"""Frames that a camera numbered and nobody received."""

from __future__ import annotations

import pytest

from ingest.sequence_gaps import SequenceGaps
from tests.monitoring.decisions import decision


@pytest.mark.parametrize(
    ("frame_ids", "sequences", "missing"),
    [
        (["run-4", "run-5", "run-9"], [4, 5, 9], [0, 0, 3]),
        (["run-4", "run-7", "run-5", "run-8"], [4, 7, 5, 8], [0, 2, 0, 0]),
        (["one-90", "two-3", "two-4"], [90, 3, 4], [0, 0, 0]),
        (["a", "b", "c", "d"], [90, 93, 3, 5], [0, 2, 0, 1]),
        (["a", "b", "c"], [None, 7, None], [0, 0, 0]),
    ],
)
def test_missing_frames_are_counted(frame_ids: list[str], sequences: list[int | None], missing: list[int]) -> None:
    """What lies between two numbers of one camera start; late frames, restarts and frames without a number: nothing."""
    numbering, found = SequenceGaps(), []
    for frame_id, sequence in zip(frame_ids, sequences, strict=True):
        numbering, count = numbering.after(decision(frame_id=frame_id, sequence=sequence))
        found.append(count)
    assert found == missing


def test_a_repeated_frame_is_none_of_the_cameras_numbers() -> None:
    """A frame that is told again comes late by its number, and nothing was lost."""
    numbering, _ = SequenceGaps().after(decision(frame_id="run-9", sequence=9))
    again = decision(frame_id="run-4", sequence=4).model_copy(update={"duplicate_of": decision().source})
    assert numbering.after(again) == (numbering, 0)
