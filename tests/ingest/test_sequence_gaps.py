"""Frames that a camera numbered and nobody received."""

from __future__ import annotations

import pytest

from ingest.frame import Frame
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
    gaps, found = SequenceGaps(), []
    for frame_id, sequence in zip(frame_ids, sequences, strict=True):
        gaps, count = gaps.after(decision(frame_id=frame_id, sequence=sequence), repeated=False)
        found.append(count)
    assert found == missing


@pytest.mark.parametrize(("replay", "repeated"), [(True, False), (False, True)])
def test_a_repeated_or_replayed_frame_has_no_place_in_the_cameras_order(*, replay: bool, repeated: bool) -> None:
    """Its number is lower than the last one, as after a restart of the camera; it is none, and nothing was lost."""
    gaps, _ = SequenceGaps().after(decision(frame_id="a", sequence=9), repeated=False)
    again = decision(frame_id="b", sequence=4)
    again = again.model_copy(update={"replay_of": again.source if replay else None})
    assert gaps.after(again, repeated=repeated) == (gaps, 0)


def test_frames_and_decisions_follow_one_rule() -> None:
    """Inference counts the gaps of frames, the drift service those of decisions: the same numbers."""
    sequences = [4, 5, 9, 3, 7]
    by_decision = by_frame = SequenceGaps()
    for sequence in sequences:
        made = decision(frame_id=f"run-{sequence}", sequence=sequence)
        frame = Frame(
            view=made.view,
            key=made.view,
            frame_id=made.frame_id,
            encoded=b"x",
            source=made.source,
            appended_ms=0,
            sequence=sequence,
        )
        by_decision, missing = by_decision.after(made, repeated=False)
        assert by_frame.after(frame, repeated=False) == (by_decision, missing)
        by_frame = by_decision


@pytest.mark.parametrize("name", ["{partition}-{offset}", "{topic}-{partition}-{offset}"])
def test_an_id_that_follows_from_the_record_names_no_start_of_the_camera(name: str) -> None:
    """Also where it ends in the number by chance, and also of a topic beside the first."""
    source = decision(frame_id="a", sequence=0).source
    gaps = SequenceGaps()
    for offset, sequence, expected in ((1, 1, 0), (2, 5, 3)):
        at = source.model_copy(update={"offset": offset})
        frame_id = name.format(**at.model_dump())
        frame = decision(frame_id=frame_id, sequence=sequence).model_copy(update={"source": at})
        gaps, missing = gaps.after(frame, repeated=False)
        assert missing == expected
