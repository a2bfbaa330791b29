"""Pictures that a command draws, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

from deploy.errors import CommandFailed

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from jaxtyping import UInt8


def write_picture(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write RGB pixels in the format that the file's name ends in. Raises CommandFailed where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written = cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except (OSError, cv2.error):
        written = False
    if not written:
        raise CommandFailed(f"cannot write {path}; name a .png in a folder you may write to")
