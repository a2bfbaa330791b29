"""The folder a trainer's builds work in: gone with the trainer; where that was killed, with the next one's start."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "patchline-builds-"
LOCK = "in-use"


@contextmanager
def build_workdir(parent: Path | None = None) -> Iterator[Path]:
    """A new folder in `parent` (default: where temporary files go), after the folders of dead trainers are removed."""
    parent = parent or Path(gettempdir())
    sweep(parent)
    folder = Path(mkdtemp(prefix=PREFIX, dir=parent))
    with (folder / LOCK).open("xb") as lock:
        _take(lock)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the folders whose trainer is dead: the system lets go of its lock, however it died."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            with (folder / LOCK).open("rb+") as lock:
                if _take(lock):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # without a lock it was just made, or it is somebody else's
            continue


def _take(lock: BinaryIO) -> bool:
    """Lock it until it is closed; whether nobody else has."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
