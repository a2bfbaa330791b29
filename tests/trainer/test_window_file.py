"""The window's index file: version 1 stays readable, and a newer one says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.window import BuildRequest, FrozenRunState, InvalidIndex, KeptFrame, LastBuild, NewerIndex, WindowIndex

GOLDEN = Path(__file__).parent / "golden"
VERSION_1 = (GOLDEN / "window-index-v1.json").read_bytes()
"""`INDEX.to_bytes()` of the release that wrote version 1 first."""

INDEX = WindowIndex(
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
            difference_hash="00ff00ff00ff00ff",
            mode="g0a1b2c3d",
        ),
        KeptFrame(
            partition=1,
            offset=90,
            number=56,
            frame_id="1-90",
            sha256="ff" * 32,
            size_bytes=1,
            appended_ms=1_777_000_100_000,
            difference_hash="f0f0f0f0f0f0f0f0",
        ),
    ),
    next_offsets={1: 91, 3: 400},
    run=FrozenRunState(thumbnail_base64="AAEC", sha256="ff" * 32, repeats=2, kept=("1-90.frame",)),
    last_build=LastBuild(seen=30, failed=True),
    build_request=BuildRequest(command_id="c-1", who="anna", why="new light", urgent=True),
    lost_bank="ee" * 32,
)


def test_an_index_of_version_1_is_read_and_written_as_it_is() -> None:
    """An update must not make a line learn anew: every field of the file means what it meant."""
    assert WindowIndex.from_bytes(VERSION_1) == INDEX
    assert INDEX.to_bytes() == VERSION_1


def test_a_newer_index_says_what_to_do() -> None:
    """It is not learnt over, whatever else is in it: somebody put an older release in front of a newer one's store."""
    newer = VERSION_1.replace(b'"format_version":1', b'"format_version":2,"more":1')
    with pytest.raises(NewerIndex, match=r"^window index of format 2: update Patchline here, or delete the window$"):
        WindowIndex.from_bytes(newer)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (VERSION_1[:100], r"file: Invalid JSON.*"),
        (VERSION_1.replace(b'"format_version":1', b'"format_version":0'), r"format_version: Input should be .*"),
        (VERSION_1.replace(b'"seen":57', b'"seen":-1'), r"seen: Input should be .*"),
    ],
)
def test_a_damaged_index_says_so(data: bytes, fault: str) -> None:
    """Half a file is none, nor is a version there never was, which no update would cure."""
    with pytest.raises(InvalidIndex, match=rf"^window index, {fault}; the view is learnt anew$") as raised:
        WindowIndex.from_bytes(data)
    assert not isinstance(raised.value, NewerIndex)
