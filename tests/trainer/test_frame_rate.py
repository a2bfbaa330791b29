"""A window tells how fast its view's frames come, unless they came all at once."""

import pytest

from trainer.frame_rate import frames_per_second
from trainer.window import KeptFrame


def kept(*numbers_and_ms: tuple[int, int]) -> list[KeptFrame]:
    """Frames of those numbers, appended then."""
    return [
        KeptFrame(
            partition=0,
            offset=number,
            number=number,
            frame_id=str(number),
            sha256="0" * 64,
            size_bytes=1,
            appended_ms=at,
            difference_hash="0" * 16,
        )
        for number, at in numbers_and_ms
    ]


def test_pauses_and_frames_left_out_do_not_change_it() -> None:
    """Every fourth of ten a second, with a night between."""
    day = [(4 * i, 400 * i) for i in range(100)]
    next_day = [(400 + 4 * i, 50_000_000 + 400 * i) for i in range(100)]
    assert frames_per_second(kept(*day, *next_day)) == pytest.approx(10)


@pytest.mark.parametrize("frames", [[], [(0, 0)], [(i, i) for i in range(1000)]])
def test_a_backlog_tells_nothing(frames: list[tuple[int, int]]) -> None:
    """A thousand in a second are no line; nor is a window of one."""
    assert frames_per_second(kept(*frames)) is None
