"""The simulated fortnight: what happens on which day, and that a seed gives the same frames."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import cv2
import numpy as np
import pytest

from ingest.cameras.fortnight import (
    BEGINS,
    DAYS,
    DUST_DAY,
    IDLE_DAYS,
    KNOCK_DAY,
    LAMP_LOSS,
    MARK_AT,
    REPEATING_FROM,
    REPEATING_RATIOS,
    VARIANT_FROM,
    Fortnight,
    LineFrame,
)

LINE = Fortnight(seed=3, frames_per_day=40, size_px=96)


@pytest.fixture(scope="module")
def days() -> dict[int, list[LineFrame]]:
    """All of it, small."""
    return {day: list(LINE.day(day)) for day in range(1, DAYS + 1)}


def pixels(frame: LineFrame) -> np.ndarray:
    """Gray levels."""
    picture = cv2.imdecode(np.frombuffer(frame.encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return np.asarray(picture, np.float32)


@pytest.mark.slow
def test_what_happens_on_which_day(days: dict[int, list[LineFrame]]) -> None:
    """Idle days have no frame; variant, mark, knock and dust come when they should, and the mark spreads."""
    truths = {day: Counter(frame.truth for frame in frames) for day, frames in days.items()}
    assert [day for day in days if not days[day]] == list(IDLE_DAYS)
    assert min(day for day in days if truths[day]["variant"]) == VARIANT_FROM
    marked = {day: count["repeating"] for day, count in truths.items() if count["repeating"]}
    assert min(marked) == REPEATING_FROM
    assert marked[DAYS] == pytest.approx(REPEATING_RATIOS[DAYS] * 40, abs=1.5)
    assert [day for day in days if truths[day]["knocked"]] == [KNOCK_DAY]
    assert [day for day in days if truths[day]["dusty"]] == [DUST_DAY]
    assert truths[DUST_DAY]["dusty"] == 28
    assert truths[KNOCK_DAY]["knocked"] == 12


@pytest.mark.slow
def test_the_lamp_fades_and_the_mark_is_dark(days: dict[int, list[LineFrame]]) -> None:
    """A fifth of the light is gone at the end, give or take what the light drifts by; the mark is where it is said."""
    first, last = (np.mean([pixels(frame).mean() for frame in days[day] if frame.truth == "good"]) for day in (1, DAYS))
    assert last / first == pytest.approx(1 - LAMP_LOSS, abs=0.08)
    row, column = round(MARK_AT[1] * 96), round(MARK_AT[0] * 96)
    spot = {
        truth: np.mean([pixels(frame)[row, column] for frame in days[DAYS] if frame.truth == truth])
        for truth in ("good", "repeating")
    }
    assert spot["repeating"] < 0.6 * spot["good"]


@pytest.mark.slow
def test_the_lines_clock_and_the_seed(days: dict[int, list[LineFrame]]) -> None:
    """Times rise and stay within the day's shift; the same seed gives the same bytes, another one others."""
    times = [frame.at for frames in days.values() for frame in frames]
    assert times == sorted(set(times))
    assert days[5][0].at == BEGINS + timedelta(days=4)
    again, other = (next(iter(Fortnight(seed=seed, frames_per_day=40, size_px=96).day(1))) for seed in (3, 4))
    assert again.encoded == days[1][0].encoded != other.encoded
