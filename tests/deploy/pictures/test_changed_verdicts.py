"""The sheet of frames that another threshold would have decided otherwise."""

from __future__ import annotations

from datetime import UTC, time
from typing import TYPE_CHECKING

from deploy.history.threshold_replay import threshold_replay
from deploy.pictures.changed_verdicts import MOST, changed_verdicts_sheet
from inference.decide import Limits
from softpatch.images.geometry import FrameGeometry
from tests.deploy.runs import decided
from tests.inference.sample_bank import jpeg

if TYPE_CHECKING:
    from ingest.decision import Decision

REPLAY = threshold_replay(
    [decided(ratio, offset=n, size_wh=(96, 96)) for n, ratio in enumerate((0.4, 0.6, 1.2, 1.4, 2.5))],
    lambda _: Limits(threshold=4.0, low=4.0, high=4.0),  # twice the recorded one
    hours=[time(0)],
    zone=UTC,
)


def whole(_: Decision) -> FrameGeometry:
    """The geometry of every decision's bank."""
    return FrameGeometry()


def test_a_frame_with_another_verdict_is_drawn_while_its_picture_is_kept() -> None:
    """Two fails become passes; the picture of one has expired, and is counted."""

    def picture_of(decision: Decision) -> bytes | None:
        return jpeg(3) if decision.source.offset == 3 else None

    sheet, expired = changed_verdicts_sheet(
        REPLAY, "title", first_topic="frames", picture_of=picture_of, geometry_of=whole
    )
    assert sheet is not None
    assert (sheet.shape[1], expired) == (1800, 1)


def test_without_a_kept_picture_there_is_no_sheet() -> None:
    """Nor where the bank is missing, whose geometry the heat map needs; all that were looked for are counted."""
    expired = changed_verdicts_sheet(REPLAY, "t", first_topic="frames", picture_of=lambda _: None, geometry_of=whole)
    no_bank = changed_verdicts_sheet(
        REPLAY, "t", first_topic="frames", picture_of=lambda _: jpeg(3), geometry_of=lambda _: None
    )
    assert expired == no_bank == (None, 2)


def test_of_very_many_only_the_first_are_looked_for() -> None:
    """A picture is read from Kafka for each."""
    replay = threshold_replay(
        [decided(1.5, offset=n, size_wh=(96, 96)) for n in range(MOST + 3)],
        lambda _: Limits(threshold=4.0, low=4.0, high=4.0),
        hours=[time(0)],
        zone=UTC,
    )
    asked_for: list[int] = []

    def picture_of(decision: Decision) -> None:
        asked_for.append(decision.source.offset)

    assert changed_verdicts_sheet(replay, "t", first_topic="frames", picture_of=picture_of, geometry_of=whole) == (
        None,
        MOST,
    )
    assert len(asked_for) == MOST
