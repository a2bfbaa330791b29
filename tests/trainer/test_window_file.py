"""The window's index file: version 1 stays readable, and a newer one says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.window import BuildAsked, InvalidIndex, KeptFrame, LastBuild, NewerIndex, WindowIndex

GOLDEN = Path(__file__).parent / "golden" / "window-index-v1.json"

WHAT_IT_SAYS = WindowIndex(
    view="line-1/camera-1@gear",
    topic="plant.frames",
    home=3,
    seen=57,
    stride=2,
    frames=(
        KeptFrame(
            partition=3,
            offset=12,
            number=0,
            frame_id="8d1f6d3e-0",
            sha256="0a" * 32,
            size_bytes=48_211,
            appended_ms=1_777_000_000_123,
        ),
        KeptFrame(
            partition=1,
            offset=90,
            number=56,
            frame_id="1-90",
            sha256="ff" * 32,
            size_bytes=1,
            appended_ms=1_777_000_100_000,
        ),
    ),
    next_offsets={1: 91, 3: 400},
    last_build=LastBuild(seen=30, failed=True),
    asked=BuildAsked(command_id="c-1", who="anna", why="new light"),
)


def test_an_index_of_version_1_is_read() -> None:
    """An update must not make a line learn anew: every field of the file means what it meant."""
    assert WindowIndex.from_bytes(GOLDEN.read_bytes()) == WHAT_IT_SAYS


def test_an_index_of_version_1_is_written_as_it_was() -> None:
    """So that a release before this one, in a rolling update, goes on with it."""
    assert WHAT_IT_SAYS.to_bytes() == GOLDEN.read_bytes()


def test_a_newer_index_says_what_to_do() -> None:
    """It is not learnt over: somebody put an older release in front of a newer one's store."""
    newer = GOLDEN.read_bytes().replace(b'"format_version":1', b'"format_version":2')
    with pytest.raises(NewerIndex, match=r"^window index of format 2: update Patchline here, or delete the window$"):
        WindowIndex.from_bytes(newer)


def test_a_damaged_index_says_so() -> None:
    """Half a file is none."""
    with pytest.raises(InvalidIndex, match=r"^window index, file: Invalid JSON.*; the view is learnt anew$"):
        WindowIndex.from_bytes(GOLDEN.read_bytes()[:100])
