"""The window's index file: versions 1 and 2 stay readable, and a newer one says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.window import BuildAsked, FrozenRunState, InvalidIndex, KeptFrame, LastBuild, NewerIndex, WindowIndex

GOLDEN = Path(__file__).parent / "golden"
VERSION_1 = (GOLDEN / "window-index-v1.json").read_bytes()
VERSION_2 = (GOLDEN / "window-index-v2.json").read_bytes()

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


RUN = FrozenRunState(look_base64="AAEC", sha256="ff" * 32, repeats=2, kept=("1-90.frame",))


def test_an_index_of_version_1_is_read() -> None:
    """An update must not make a line learn anew: every field of the file means what it meant."""
    assert WindowIndex.from_bytes(VERSION_1) == WHAT_IT_SAYS


def test_an_index_of_version_1_becomes_one_of_version_2() -> None:
    """Whatever is written may have a run: a release that knows none must see a version it does not read."""
    read = WindowIndex.from_bytes(VERSION_1)
    assert read.model_copy(update={"run": RUN}).to_bytes() == VERSION_2


def test_an_index_of_version_2_is_read() -> None:
    """With the run of like frames at its end."""
    assert WindowIndex.from_bytes(VERSION_2) == WHAT_IT_SAYS.model_copy(update={"run": RUN})


def test_a_newer_index_says_what_to_do() -> None:
    """It is not learnt over, whatever else is in it: somebody put an older release in front of a newer one's store."""
    newer = VERSION_2.replace(b'"format_version":2', b'"format_version":3,"more":1')
    with pytest.raises(NewerIndex, match=r"^window index of format 3: update Patchline here, or delete the window$"):
        WindowIndex.from_bytes(newer)


def test_a_damaged_index_says_so() -> None:
    """Half a file is none."""
    with pytest.raises(InvalidIndex, match=r"^window index, file: Invalid JSON.*; the view is learnt anew$"):
        WindowIndex.from_bytes(VERSION_1[:100])
