"""The frames of a bench: simulated, 512 px, JPEG."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from ingest.cameras.simulator import Simulator
from softpatch.threads import available_cores

if TYPE_CHECKING:
    from ingest.cameras.source import CameraFrame

PART: Literal["bracket"] = "bracket"


def drawn_frames(seed: int, count: int) -> list[CameraFrame]:
    """The first so many frames of a seed, drawn on every core."""
    source = Simulator(PART, seed=seed, clock=lambda: datetime.now(UTC))
    with ThreadPoolExecutor(available_cores(), "simulator") as pool:
        return list(pool.map(source.frame, range(count)))
