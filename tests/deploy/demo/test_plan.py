"""The overlap setting: defective test frames go into the window, and every test frame is decided."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from deploy.demo.plan import overlap, simulated
from deploy.errors import UsageError
from ingest.cameras.source import CameraFrame

AT = datetime(2026, 11, 24, tzinfo=UTC)


def frames(label: str, count: int) -> list[CameraFrame]:
    """Frames that differ in their bytes."""
    return [CameraFrame(f"{label}{i}".encode(), "image/jpeg", AT, f"{label}{i}", label) for i in range(count)]


TRAIN, TEST = frames("good", 40), [*frames("good", 9), *frames("crack", 6), *frames("bent", 3)]


@pytest.mark.parametrize(("noise", "injected"), [(0.0, 0), (0.1, 4), (0.21, 8)])
def test_the_window_is_the_good_frames_and_the_share_of_defective_ones(noise: float, injected: int) -> None:
    """round(noise x good) defective test frames; every training frame exactly once."""
    plan = overlap(TRAIN, TEST, noise=noise, seed=1, about="x")
    bad = [frame for frame in plan.window if frame.label != "good"]
    assert len(bad) == len(set(map(id, bad))) == injected
    assert {id(frame) for frame in plan.window} - {id(frame) for frame in bad} == {id(frame) for frame in TRAIN}
    assert {id(frame) for frame in bad} <= {id(frame) for frame in TEST}


def test_the_whole_test_folder_is_decided_the_injected_frames_included() -> None:
    """That is what makes it the overlap setting."""
    plan = overlap(TRAIN, TEST, noise=0.2, seed=3, about="x")
    assert Counter(map(id, plan.rest)) == Counter(map(id, TEST))


def test_the_seed_alone_decides() -> None:
    """Same seed, same run; another seed, other injected frames in another order."""
    first, again, other = (overlap(TRAIN, TEST, noise=0.2, seed=seed, about="x") for seed in (5, 5, 6))
    assert [frame.source for frame in first.window] == [frame.source for frame in again.window]
    assert [frame.source for frame in first.window] != [frame.source for frame in other.window]


def test_the_window_is_in_random_order() -> None:
    """A block of defects at the end would be a different problem."""
    plan = overlap(TRAIN, TEST, noise=0.2, seed=0, about="x")
    places = [place for place, frame in enumerate(plan.window) if frame.label != "good"]
    assert places != list(range(40, 48))


def test_too_few_defective_frames_say_what_to_ask_for() -> None:
    """9 defective frames for 40 good ones."""
    with pytest.raises(UsageError, match=r"--noise 0\.5 needs 20 defective frames, x has 9; ask for at most 0\.22"):
        overlap(TRAIN, TEST, noise=0.5, seed=0, about="x")


def test_copies_in_the_window_count_once() -> None:
    """The trainer skips a frame whose bytes it has: waiting for all would wait for ever."""
    plan = overlap([*TRAIN, TRAIN[0]], TEST, noise=0.0, seed=0, about="x")
    assert len(plan.window) == 41
    assert plan.distinct_window_frames == 40


def test_a_simulated_plan_is_one_stream_cut_in_two() -> None:
    """First what is learnt from, then what is decided."""

    class Counting:
        def frame(self, index: int) -> CameraFrame:
            return CameraFrame(str(index).encode(), "image/jpeg", AT, "")

    plan = simulated(Counting(), window=3, rest=2, about="x")
    assert [frame.encoded for frame in plan.window] == [b"0", b"1", b"2"]
    assert [frame.encoded for frame in plan.rest] == [b"3", b"4"]
    assert plan.size_bytes == 5
