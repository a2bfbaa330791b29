"""A picture costs no more time, memory or share of the decoder than it may, and whatever happens is an answer."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

import ingest.decoding
from ingest.decoding import DecodeShare, FrameDecoder, ImageSettings
from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.geometry import FrameGeometry
from tests.ingest.pictures import deep_png, scan_bomb

if TYPE_CHECKING:
    from collections.abc import Iterator

GEOMETRY = FrameGeometry(mode="squash", height_px=64, width_px=96)
CONNECTED = "import sys; from multiprocessing.connection import Connection as C; c = C(int(sys.argv[1])); "
STUCK = (sys.executable, "-c", CONNECTED + "c.send_bytes(b'ready'); [c.recv_bytes() for _ in range(3)]")
DYING = (sys.executable, "-c", CONNECTED + "c.send_bytes(b'ready'); c.recv_bytes(); sys.exit(11)")


def large_jpeg() -> bytes:
    """12 megapixels: more than is decoded in the caller's own thread."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.resize(small, (4000, 3000), interpolation=cv2.INTER_CUBIC))[1])


def decoder(child: tuple[str, ...] = ingest.decoding.CHILD, **limits: float) -> FrameDecoder:
    """Two workers, real time."""
    return FrameDecoder(ImageSettings.model_validate(limits), workers=2, clock=time.monotonic, child=child)


@pytest.fixture(scope="module")
def shared_decoder() -> Iterator[FrameDecoder]:
    """One with the limits a person gets, and one process for all tests."""
    with decoder() as opened:
        yield opened


def why(decoding: FrameDecoder, encoded: bytes, *, view: str = "l/c") -> tuple[str, str]:
    """The word and the sentence for a picture that is not decoded."""
    with pytest.raises(UndecodableImage) as caught:
        decoding.shaped(encoded, GEOMETRY, view=view)
    return caught.value.reason, str(caught.value)


@pytest.mark.process
@pytest.mark.slow
def test_a_large_picture_comes_back_from_the_process_as_it_does_from_the_decoder(shared_decoder: FrameDecoder) -> None:
    """Pixel for pixel, and again from the same process."""
    encoded = large_jpeg()
    for _ in range(2):
        shaped = shared_decoder.shaped(encoded, GEOMETRY, view="l/c")
        np.testing.assert_array_equal(shaped.pixels, GEOMETRY.apply(decode(encoded)))
        assert shaped.size_wh_px == (4000, 3000)
    assert shared_decoder._idle.qsize() == 1


@pytest.mark.process
@pytest.mark.slow
def test_a_large_picture_that_is_damaged_says_so_and_costs_no_process(shared_decoder: FrameDecoder) -> None:
    """The reason comes through whole."""
    encoded = large_jpeg()
    reason, sentence = why(shared_decoder, encoded[: len(encoded) // 2] + b"\xff\xd9")
    assert reason == "corrupt"
    assert sentence == "corrupt: Corrupt JPEG data: premature end of data segment; send an undamaged file"
    assert shared_decoder._idle.qsize() == 1


def test_thousands_of_scans_are_refused_by_the_header() -> None:
    """300 kB of a legal JPEG took 75 s to decode."""
    assert why(decoder(), scan_bomb(side_px=7064, scans=2647)) == (
        "too_costly",
        "too_costly: a JPEG of 7064x7064 px in 2647 scans or more; send it as baseline, in one scan",
    )


def test_a_small_picture_may_have_many_scans() -> None:
    """What counts is the work: 100 passes over 64 x 64 px are nothing."""
    assert decoder().shaped(scan_bomb(side_px=64, scans=100), GEOMETRY, view="l/c").size_wh_px == (64, 64)
    assert why(decoder(), scan_bomb(side_px=64, scans=101))[0] == "too_costly"


def test_a_picture_whose_pixels_need_too_much_memory_is_refused_by_the_header() -> None:
    """A PNG of 380 kB took 575 MB and 3.7 s."""
    assert why(decoder(decode_memory_bytes=64 * 2**20), deep_png(width_px=3000, height_px=2500)) == (
        "too_costly",
        "too_costly: decoding takes 100 MiB of memory, limit 64 (images.decode_memory_bytes)",
    )


@pytest.mark.process
@pytest.mark.slow
def test_what_the_header_does_not_say_the_kernel_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the reckoning is wrong, the process cannot take more memory than it is given."""
    monkeypatch.setattr("softpatch.images.header.Header.memory_bytes", 1)
    with decoder(decode_memory_bytes=16 * 2**20) as opened:
        assert why(opened, large_jpeg())[0] in {"too_costly", "corrupt"}


@pytest.mark.process
def test_a_decoder_that_hangs_is_given_up() -> None:
    """And the next picture gets a new one."""
    with decoder(STUCK, decode_seconds=0.1) as opened:
        for _ in range(2):
            reason, sentence = why(opened, deep_png(width_px=3000, height_px=2500))
            assert (reason, opened._idle.qsize()) == ("too_costly", 0)
            assert sentence == "too_costly: decoding takes longer than 0.1 s (images.decode_seconds)"


@pytest.mark.process
def test_a_decoder_that_dies_is_an_answer() -> None:
    """A fault in a library's own code ends its process, not the service."""
    with decoder(DYING) as opened:
        assert why(opened, deep_png(width_px=3000, height_px=2500))[1] == (
            "too_costly: the decoder died of this picture, by its memory or by a fault of its own"
        )


@pytest.mark.process
def test_a_decoder_that_does_not_start_is_an_answer() -> None:
    """A machine without memory, say."""
    with decoder(("/bin/false",)) as opened:
        assert why(opened, deep_png(width_px=3000, height_px=2500))[1] == (
            "too_costly: the process that decodes large pictures did not start"
        )


@pytest.mark.process
@pytest.mark.slow
def test_several_threads_decode_at_once(shared_decoder: FrameDecoder) -> None:
    """Each has a process of its own for as long as it takes."""
    encoded = large_jpeg()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda view: shared_decoder.shaped(encoded, GEOMETRY, view=view), ["l/a", "l/b"]))
    np.testing.assert_array_equal(both[0].pixels, both[1].pixels)


@pytest.mark.process
def test_its_processes_end_with_it() -> None:
    """Nothing is left behind."""
    with decoder() as opened:
        opened.shaped(deep_png(width_px=2500, height_px=2000), GEOMETRY, view="l/c")
        pid = opened._idle.queue[0]._process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("error", [cv2.error("no"), ValueError("no")])
def test_whatever_a_library_raises_is_corrupt(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """An answer, not the end of a service."""

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ingest.decoding, "decode_checked", failing)
    assert why(decoder(), scan_bomb(side_px=64, scans=2))[0] == "corrupt"


def test_memory_that_is_not_there_is_too_costly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for an allocation that fails."""

    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ingest.decoding, "decode_checked", failing)
    assert why(decoder(), scan_bomb(side_px=64, scans=2)) == (
        "too_costly",
        "too_costly: the memory left does not hold its pixels",
    )


class Clock:
    """Set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """In seconds."""
        return self.now


def took(share: DecodeShare, clock: Clock, view: str, seconds: float) -> bool:
    """Whether a costly frame of this view was let in; it takes so long."""
    try:
        with share.taken(view):
            clock.now += seconds
    except UndecodableImage as error:
        assert error.reason == "too_costly"  # noqa: PT017 -- either outcome is looked at
        return False
    return True


def test_a_view_alone_may_take_all_of_the_decoder() -> None:
    """Nobody else waits."""
    clock = Clock()
    share = DecodeShare(2.0, workers=2, clock=clock)
    assert all(took(share, clock, "l/a", 1.9) for _ in range(5))


def test_a_view_among_others_has_an_equal_share_of_the_last_seconds() -> None:
    """Two workers for two seconds, two views: two seconds each; what is past does not count for ever."""
    clock = Clock()
    share = DecodeShare(2.0, workers=2, clock=clock)
    share.seen("l/b")
    assert [took(share, clock, "l/a", 1.0) for _ in range(3)] == [True, True, False]
    assert took(share, clock, "l/b", 0.5)
    clock.now += 1.6
    assert took(share, clock, "l/a", 1.0)


def test_a_view_that_fell_silent_is_no_other() -> None:
    """After a minute the rest is the decoder's only user."""
    clock = Clock()
    share = DecodeShare(2.0, workers=1, clock=clock)
    share.seen("l/b")
    assert [took(share, clock, "l/a", 1.5), took(share, clock, "l/a", 0.1)] == [True, False]
    clock.now += 70
    assert [took(share, clock, "l/a", 1.5), took(share, clock, "l/a", 1.5), took(share, clock, "l/a", 1.5)] == [
        True
    ] * 3
