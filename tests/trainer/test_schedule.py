"""Builds by the clock of the line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tests.trainer.views import state, window
from trainer.build_policy import build_due
from trainer.schedule import latest_time_ms
from trainer.settings import ViewTraining
from trainer.window import LastBuild, WindowIndex

NIGHTLY = ViewTraining(rebuild_at="0 2 * * *", rebuild_every_frames=10**6, window_frames=50, first_build_frames=30)
GRAPH = "0" * 64


def ms(text: str) -> int:
    """Milliseconds since 1970 of a moment in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def index(last: str | None, newest: str) -> WindowIndex:
    """A window whose newest frame came then, and whose last build began when the newest was that one."""
    whole = window(50, seen=500)
    frames = (*whole.frames[:-1], whole.frames[-1].model_copy(update={"appended_ms": ms(newest)}))
    built = LastBuild(seen=400, failed=False, at_ms=None if last is None else ms(last))
    return whole.model_copy(update={"frames": frames, "last_build": built})


@pytest.mark.parametrize(
    ("last", "newest", "due"),
    [
        pytest.param("2026-05-04T01:00", "2026-05-04T01:59", None, id="a minute before"),
        pytest.param("2026-05-04T01:00", "2026-05-04T02:00", "2026-05-04T02:00+00:00", id="to the minute"),
        pytest.param("2026-05-04T02:00", "2026-05-04T23:59", None, id="built already"),
        pytest.param("2026-05-01T18:00", "2026-05-04T06:00", "2026-05-04T02:00+00:00", id="once after a weekend"),
        pytest.param(None, "2026-05-04T06:00", None, id="a build of a release that noted no time"),
    ],
)
def test_a_build_is_due_at_the_lines_own_time(last: str | None, newest: str, due: str | None) -> None:
    """Not at the trainer's: a line that stands has no time, and a replayed one has its own."""
    initiator = build_due(index(last, newest), state(), NIGHTLY, graph_hash=GRAPH)
    assert (initiator and initiator.why) == (None if due is None else f"by schedule: 0 2 * * * ({due})")


def test_the_times_are_those_of_the_plants_time_zone() -> None:
    """02:00 in Berlin is midnight UTC in summer."""
    berlin = NIGHTLY.model_copy(update={"rebuild_time_zone": "Europe/Berlin"})
    initiator = build_due(index("2026-05-03T12:00", "2026-05-04T00:30"), state(), berlin, graph_hash=GRAPH)
    assert initiator is not None
    assert initiator.why == "by schedule: 0 2 * * * (2026-05-04T02:00+02:00)"


def test_frames_and_clock_are_both_asked() -> None:
    """Whichever comes first."""
    both = NIGHTLY.model_copy(update={"rebuild_every_frames": 100})
    initiator = build_due(index("2026-05-04T03:00", "2026-05-04T04:00"), state(), both, graph_hash=GRAPH)
    assert initiator is not None
    assert initiator.why == "by schedule: 100 frames since the last build"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("rebuild_at", "at two", "'at two' is no cron expression"),
        ("rebuild_at", "0 2 31 2 *", "'0 2 31 2 *' is no cron expression"),
        ("rebuild_time_zone", "Mars/Olympus", "'Mars/Olympus' is no time zone: write one as Europe/Berlin, or UTC"),
    ],
)
def test_what_is_no_schedule_is_refused(field: str, value: str, sentence: str) -> None:
    """When the settings are read, not at two in the morning."""
    with pytest.raises(ValidationError, match=sentence.split(":", maxsplit=1)[0].replace("*", r"\*")):
        ViewTraining.model_validate({field: value})


def test_the_latest_time_includes_the_moment_itself() -> None:
    """And is the day before a second earlier."""
    assert latest_time_ms("0 2 * * *", until_ms=ms("2026-05-04T02:00"), time_zone="UTC") == ms("2026-05-04T02:00")
    before = latest_time_ms("0 2 * * *", until_ms=ms("2026-05-04T02:00") - 1000, time_zone="UTC")
    assert before == ms("2026-05-03T02:00")
