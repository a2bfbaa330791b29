"""What pages compute: order of the fleet, kinds of rejects, intervals, formats, drawings, events."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.stats import binomtest

from ingest.decision import DefectRegion, Verdict
from ingest.drift_event import DriftEvent, DriftEventKind
from monitoring.console.drawing import WIDTH, detection_drawing, histogram_path, sparkline
from monitoring.console.fleet import episodes, open_episodes
from monitoring.console.formats import Formats
from monitoring.console.looks import kinds_of, usual_distance
from monitoring.console.report_file import report_html
from monitoring.console.shift_report import shift_report, wilson
from softpatch.calibration.detection import PlantResult, detection_curve
from tests.monitoring.console.conftest import FAILS, NOW, Line
from tests.monitoring.decisions import AT, VIEW
from tests.monitoring.record.lines import made

if TYPE_CHECKING:
    from ingest.decision import Decision


def step(kind: DriftEventKind, seconds: float, verdict: str = "camera got darker") -> DriftEvent:
    """A step of an episode."""
    at = AT + timedelta(seconds=seconds)
    return DriftEvent(view=VIEW, kind=kind, verdict=verdict, why="x", decision_id="0" * 64, at=at)


def test_episodes_are_put_together_from_their_steps() -> None:
    """The newest first; the last one goes on."""
    noticed, renamed, over = DriftEventKind.NOTICED, DriftEventKind.RENAMED, DriftEventKind.OVER
    steps = [step(noticed, 0), step(renamed, 5, "product changed"), step(over, 9, "product changed"), step(noticed, 20)]
    newest_first = steps[::-1]
    found = episodes(newest_first)
    assert [(each.began, each.latest, each.over) for each in found] == [
        (steps[3], steps[3], None),
        (steps[0], steps[1], steps[2]),
    ]
    assert open_episodes(newest_first) == {VIEW: steps[3]}
    assert open_episodes(newest_first[1:]) == {}


def rejects() -> list[Decision]:
    """Twelve rejects of one look in a corner, five of another elsewhere, three of a third look."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(20):
        kind = 0 if number < 12 else 1 if number < 17 else 2
        sketch = np.full(32, 5.0) + np.eye(32)[kind] * 4 + rng.normal(0, 0.1, 32)
        left = (2.0, 30.0, 2.0)[kind]
        region = DefectRegion(box_xyxy_px=(left, 4.0, left + 6, 10.0), peak_ratio=1.5)
        changes = {"sketch": tuple(sketch.tolist()), "regions": (region,)}
        found.append(made(number, Verdict.FAIL).model_copy(update=changes))
    return found


def test_rejects_that_look_alike_are_one_kind() -> None:
    """By sketch and place, the most frequent first, with a member of its own as the most typical."""
    passes = [each.model_copy(update={"verdict": Verdict.PASS}) for each in rejects()[:12]]
    usual = usual_distance(passes)
    assert usual == pytest.approx(0.1 * 32**0.5, rel=0.2)
    kinds = kinds_of(rejects(), {VIEW: usual})
    assert [kind.count for kind in kinds] == [12, 5, 3]
    assert {each.frame_id for each in kinds[0].typical} == {f"run-{n}" for n in range(12)}


def test_rejects_of_two_views_are_never_one_kind() -> None:
    """Their sketches may come of different networks, and their places mean different things."""
    other = [made(n, Verdict.FAIL, view="line-2/x") for n in (0, 3)]
    assert {kind.view for kind in kinds_of([*other, made(0, Verdict.FAIL)], {})} == {VIEW, "line-2/x"}
    assert kinds_of([], {}) == []


@pytest.mark.parametrize(("hits", "of"), [(0, 10), (3, 120), (10, 10), (250, 1000)])
def test_intervals_are_wilson_s(hits: int, of: int) -> None:
    """As scipy computes them."""
    found, expected = wilson(hits, of), binomtest(hits, of).proportion_ci(0.95, "wilson")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=2e-4)
    assert wilson(0, 0) is None


def test_a_report_counts_its_time_and_no_other(line: Line) -> None:
    """Rates, kinds and events of the shift; the time before is compared with."""
    reader = line.console.reader
    report = shift_report(reader, since=AT, until=NOW)
    assert {row.view: row.counts.total for row in report.views} == {VIEW: 120, "line-2/side": 5}
    assert report.rejected is not None
    assert report.rejected.share == pytest.approx(3 / 120)
    assert sum(kind.count for kind in report.kinds) == len(FAILS)
    assert [each.who for each in report.bank_events] == ["ana"]
    assert len(report.drift_events) == 1
    later = shift_report(reader, since=AT + timedelta(hours=1), until=AT + timedelta(hours=2))
    assert (later.views, later.kinds, later.bank_events) == ([], [], [])
    only = shift_report(reader, since=AT, until=NOW, view="line-2/side")
    assert [row.view for row in only.views] == ["line-2/side"]


def test_numbers_and_times_are_written_as_a_language_does() -> None:
    """With a space that does not break before the unit, by the plant's clock."""
    berlin = ZoneInfo("Europe/Berlin")
    english, german, chinese = (Formats(language, berlin) for language in ("en", "de", "zh"))
    assert (english.number(1234.5), german.number(1234.5)) == ("1,234.50", "1.234,50")
    assert german.percent(0.0213) == "2,1\u202f%"
    assert english.moment(AT) == "24 Nov 2026 07:00:00 CET"
    assert (german.short(AT), chinese.short(AT)) == ("24.11. 07:00", "11-24 07:00")
    assert [english.duration(seconds) for seconds in (5, 200, 9000, 200_000)] == [
        "5\u202fs", "3\u202fmin", "2\u202fh", "2\u202fd",
    ]  # fmt: skip
    assert english.number(None) == english.percent(None) == "\u2013"


def test_a_sparkline_has_a_gap_where_there_is_no_score() -> None:
    """And a mark at each reject."""
    line = sparkline([0.5, None, 1.5, 0.5], ["pass", "undecided", "fail", "pass"])
    assert line.path == "M0.0 35.0 M160.0 13.0 L240.0 35.0"
    assert line.rejects == [(160.0, 13.0)]
    assert line.threshold_y == 24.0


def test_a_histogram_is_as_high_as_its_fullest_bin() -> None:
    """Of the box's height, less two."""
    path = histogram_path([0.1, 0.1, 0.9], low=0.0, high=1.0, bins=2)
    assert path == "M0 48.0 L0.0 2.0 L120.0 2.0 L120.0 25.0 L240.0 25.0 L240.0 48.0 Z"


def test_live_events_tell_each_change_once(line: Line) -> None:
    """The last decision of each view, then only of views that went on."""
    live = line.console.live

    async def first_two() -> list[list[dict[str, object]]]:
        found = []

        async def stays() -> bool:
            return False

        async for event in live.events(stays):
            if event.startswith("event: decided"):
                found.append(json.loads(event.split("data: ")[1]))
                line.writer.decisions([made(130 + len(found))])
            if len(found) == 2:
                break
        return found

    live.start()
    first, second = asyncio.run(asyncio.wait_for(first_two(), 20))
    live._stop.set()
    live._thread.join(5)
    assert {each["view"] for each in first} == {VIEW, "line-2/side"}
    assert [(each["view"], each["id"]) for each in second] == [(VIEW, made(131).id)]


def test_a_report_is_one_file_with_its_pictures_inside(line: Line) -> None:
    """It loads nothing: every picture is in it, and so is the style."""
    reader, pictures = line.console.reader, line.console.pictures
    report = shift_report(reader, since=AT, until=NOW)
    text = report_html(report, reader, pictures, language="de", zone=ZoneInfo("Europe/Berlin"))
    assert text.count('src="data:image/png;base64,') == 2 * len(FAILS)  # by kind, and among the worst
    assert set(re.findall(r'(?:src|href)="(.{5})', text)) == {"data:"}
    assert "Ausschuss nach Aussehen" in text
    assert "24.11.2026 07:00:00 CET" in text


def test_a_detection_curve_rises_to_the_right_with_a_dot_for_each_class() -> None:
    """Sizes by their log from the left edge to the right one, what is found from the bottom to the top."""
    curve = detection_curve([PlantResult("stain", 4.0 + n, n >= 16) for n in range(40)], seed=0)
    drawn = detection_drawing(curve)
    corners = [tuple(map(float, each.split())) for each in drawn.path.removeprefix("M").split(" L")]
    assert (corners[0][0], corners[-1][0]) == (0.0, WIDTH)
    assert corners[0][1] > drawn.line_y > corners[-1][1]
    assert drawn.a90_x is not None
    assert drawn.interval_x is not None
    assert drawn.interval_x[0] <= drawn.a90_x <= drawn.interval_x[1]
    assert [(found, planted) for _, _, found, planted in drawn.dots] == [(s.found, s.planted) for s in curve.sizes]
    never = detection_drawing(detection_curve([PlantResult("blur", 4.0 + n, found=False) for n in range(9)], seed=0))
    assert (never.a90_x, never.interval_x) == (None, None)
