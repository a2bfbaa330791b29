"""A frame's bytes into the network's input, within limits of time and memory: no picture holds up a line.

What a header promises is checked before anything is decoded. Most frames are then decoded where they are: their work
is known, and small. A frame that promises more is decoded in a process of its own, which is given up when it takes too
long or too much memory; the next such frame gets a new one. One view may take no more of that than its share.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from multiprocessing import Pipe
from queue import Empty, LifoQueue
from threading import Lock
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ingest.decode_child import DecodeAnswer, DecodeOrder
from softpatch.images.decode import UndecodableImage, checked_header, decode_checked

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from jaxtyping import UInt8

    from softpatch.images.geometry import FrameGeometry
    from softpatch.images.header import Header

MIB = 2**20
COSTLY_BYTES = 32 * MIB
"""Of decoding work: 11 megapixels of a JPEG, or 0.3 s of the slowest PNG; beyond it a frame goes to the process."""
START_SECONDS = 30.0
CHILD = (sys.executable, "-m", "ingest.decode_child")


class ImageSettings(BaseModel):
    """The `images` section of `patchline.yaml`: what every service that reads frames takes for one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pixels: int = Field(
        default=50_000_000, ge=1, description="A larger frame is a dead letter, and is not learnt from."
    )
    decode_seconds: float = Field(
        default=2.0, gt=0, description="A frame that takes longer to decode is a dead letter, too."
    )
    decode_memory_bytes: int = Field(
        default=512 * MIB, ge=16 * MIB, description="The same for one that needs more memory than this."
    )


@dataclass(frozen=True)
class NetworkInput:
    """A decoded frame as its network takes it, and the size (width, height) in which it came."""

    pixels: UInt8[np.ndarray, "height width 3"]
    size_wh_px: tuple[int, int]


class FrameDecoder:
    """Decodes and shapes frames; any thread may call it, `workers` of them at once. Closing ends its processes."""

    def __init__(
        self, limits: ImageSettings, *, workers: int, clock: Callable[[], float], child: tuple[str, ...] = CHILD
    ) -> None:
        self._limits = limits
        self._share = DecodeShare(limits.decode_seconds, workers=workers, clock=clock)
        self._child = child
        self._idle: LifoQueue[_DecodeProcess] = LifoQueue()

    def shaped(self, encoded: bytes, geometry: FrameGeometry, *, view: str) -> NetworkInput:
        """The network's input of a frame of this view.

        Raises:
            UndecodableImage: with the reason; no other exception, whatever the bytes.
        """
        try:
            header = checked_header(encoded, max_pixels=self._limits.max_pixels)
            _check_memory(header, self._limits.decode_memory_bytes)
            size_wh = (header.width_px, header.height_px)
            if header.work_bytes <= COSTLY_BYTES:
                self._share.seen(view)
                image = decode_checked(encoded, header, bit_depth=geometry.bit_depth)
                return NetworkInput(geometry.apply(image), size_wh)
            with self._share.taken(view):
                return NetworkInput(self._apart(encoded, geometry), size_wh)
        except UndecodableImage:
            raise
        except MemoryError as error:
            raise UndecodableImage("too_costly", "the memory left does not hold its pixels") from error
        except (cv2.error, ValueError) as error:
            raise UndecodableImage("corrupt", f"{type(error).__name__}: {error}") from error

    def close(self) -> None:
        """End the processes that wait."""
        while True:
            try:
                self._idle.get_nowait().end()
            except Empty:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _apart(self, encoded: bytes, geometry: FrameGeometry) -> UInt8[np.ndarray, "height width 3"]:
        """In a process; one that answered is kept, one that did not is killed."""
        try:
            process = self._idle.get_nowait()
        except Empty:
            process = _DecodeProcess(self._child, self._limits)
        answered = False
        try:
            pixels = process.shaped(encoded, geometry, seconds=self._limits.decode_seconds)
            answered = True
        except UndecodableImage as error:
            answered = error.reason != "too_costly"
            raise
        finally:
            if answered:
                self._idle.put(process)
            else:
                process.end()
        return pixels


def _check_memory(header: Header, most_bytes: int) -> None:
    if header.memory_bytes > most_bytes:
        needs = f"decoding takes {header.memory_bytes // MIB} MiB of memory, limit {most_bytes // MIB}"
        raise UndecodableImage("too_costly", f"{needs} (images.decode_memory_bytes)")


class DecodeShare:
    """Which part of the time for costly frames each view may have: while others send frames, an equal one.

    A view whose frames took more than its share of the last `seconds` waits for no frame: it is answered at once, and
    the frames behind it meet their deadline. Any thread may call it.
    """

    def __init__(self, seconds: float, *, workers: int, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._workers = workers
        self._clock = clock
        self._lock = Lock()
        self._last_seen: dict[str, float] = {}
        self._spent: deque[tuple[float, str, float]] = deque()

    def seen(self, view: str) -> None:
        """The view sends frames."""
        with self._lock:
            self._last_seen[view] = self._clock()

    def taken(self, view: str) -> _Taken:
        """Count the time inside to the view. Raises UndecodableImage where it has had its share."""
        self.seen(view)
        with self._lock:
            spent, share, views = self._standing(view)
        if views > 1 and spent >= share:
            raise UndecodableImage(
                "too_costly",
                f"{spent:.1f} s of the last {self._seconds:g} went to large pictures of this view, which shares the "
                f"decoder with {views - 1} others; send smaller ones, or inspect it by a process of its own",
            )
        return _Taken(self, view)

    def spent(self, view: str, seconds: float) -> None:
        """A frame of the view took so long."""
        with self._lock:
            self._spent.append((self._clock(), view, seconds))

    def _standing(self, view: str) -> tuple[float, float, int]:
        oldest = self._clock() - self._seconds
        while self._spent and self._spent[0][0] < oldest:
            self._spent.popleft()
        # A view that sends a frame a minute is one of the others, too.
        self._last_seen = {name: at for name, at in self._last_seen.items() if at >= oldest - OTHERS_SECONDS}
        spent = sum(seconds for _, name, seconds in self._spent if name == view)
        views = len(self._last_seen)
        return spent, self._workers * self._seconds / views, views

    def now(self) -> float:
        """The clock that shares are measured by."""
        return self._clock()


OTHERS_SECONDS = 60.0


class _Taken:
    """One costly frame, while it is entered."""

    def __init__(self, share: DecodeShare, view: str) -> None:
        self._share = share
        self._view = view
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = self._share.now()

    def __exit__(self, *_: object) -> None:
        self._share.spent(self._view, self._share.now() - self._started)


class _DecodeProcess:
    """One process that decodes, seen from here."""

    def __init__(self, child: tuple[str, ...], limits: ImageSettings) -> None:
        ours, theirs = Pipe()
        self._limits = limits
        self._connection: Connection = ours
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
                [*child, str(theirs.fileno()), str(limits.decode_seconds), str(limits.decode_memory_bytes)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # passed on, not read
            )
        if not self._answers_within(START_SECONDS):
            self.end()
            raise UndecodableImage("too_costly", "the process that decodes large pictures did not start")

    def shaped(self, encoded: bytes, geometry: FrameGeometry, *, seconds: float) -> UInt8[np.ndarray, "height width 3"]:
        """Raises UndecodableImage; too_costly where the process is of no use any more."""
        gone = UndecodableImage(
            "too_costly", "the decoder died of this picture, by its memory or by a fault of its own"
        )
        try:
            self._connection.send_bytes(DecodeOrder(geometry=geometry).model_dump_json().encode())
            self._connection.send_bytes(encoded)
            if not self._connection.poll(seconds):
                raise UndecodableImage(
                    "too_costly", f"decoding takes longer than {seconds:g} s (images.decode_seconds)"
                )
            answer = DecodeAnswer.model_validate_json(self._connection.recv_bytes())
            if answer.reason is not None:
                raise UndecodableImage(answer.reason, answer.detail)
            pixels = np.frombuffer(self._connection.recv_bytes(), np.uint8)
        except (EOFError, OSError):
            raise gone from None
        return pixels.reshape(geometry.height_px, geometry.width_px, 3)

    def end(self) -> None:
        """Kill it; well for one that is dead."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _answers_within(self, seconds: float) -> bool:
        try:
            return self._connection.poll(seconds) and bool(self._connection.recv_bytes())
        except (EOFError, OSError):
            return False
