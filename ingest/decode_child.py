"""`python -m ingest.decode_child FD SECONDS MEMORY_BYTES`: decodes one picture after the other for `ingest.decoding`.

Its memory is limited by the kernel, and so is its time: the alarm ends it inside a decoder's own code, and where
nobody waits for it any more.
"""

from __future__ import annotations

import resource
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from softpatch.images.decode import UndecodableImage, decode
from softpatch.images.geometry import FrameGeometry
from softpatch.images.header import UndecodableReason

if TYPE_CHECKING:
    from jaxtyping import UInt8

READY = b"ready"


class DecodeOrder(BaseModel):
    """What comes before the encoded bytes of a picture."""

    model_config = ConfigDict(frozen=True)
    geometry: FrameGeometry


class DecodeAnswer(BaseModel):
    """What comes before the pixels, or instead of them."""

    model_config = ConfigDict(frozen=True)
    reason: UndecodableReason | None = None
    detail: str = ""


def main(descriptor: int, seconds: float, memory_bytes: int) -> None:
    """Answer pictures until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches us, too; our parent ends us
    cv2.setNumThreads(1)
    decode(
        bytes(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1])
    )  # what a first picture loads is no picture's
    most = _private_bytes() + memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    connection = Connection(descriptor)
    connection.send_bytes(READY)
    while True:
        try:
            order = DecodeOrder.model_validate_json(connection.recv_bytes())
            encoded = connection.recv_bytes()
            signal.setitimer(signal.ITIMER_REAL, 2 * seconds)  # the parent gives up before that, if there is one
            answer, pixels = _answer(encoded, order.geometry)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send_bytes(answer.model_dump_json().encode())
            if pixels is not None:
                connection.send_bytes(pixels.tobytes())
        except (EOFError, OSError):
            return


def _answer(encoded: bytes, geometry: FrameGeometry) -> tuple[DecodeAnswer, UInt8[np.ndarray, "height width 3"] | None]:
    try:
        return DecodeAnswer(), geometry.apply(geometry.decode(encoded, max_pixels=None))
    except UndecodableImage as error:
        return DecodeAnswer(reason=error.reason, detail=str(error).removeprefix(f"{error.reason}: ")), None
    except MemoryError:
        return DecodeAnswer(
            reason="too_costly", detail="decoding takes more memory than images.decode_memory_bytes"
        ), None
    except (cv2.error, ValueError) as error:
        return DecodeAnswer(reason="corrupt", detail=f"{type(error).__name__}: {error}"), None


def _private_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmData:"))
    return int(kilobytes) * 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
