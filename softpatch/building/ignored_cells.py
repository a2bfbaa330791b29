"""Which patches of a view's frames are ignored, by its regions."""

import numpy as np
from jaxtyping import Bool

from softpatch.building.window import Window
from softpatch.images.geometry import FrameGeometry


class NothingInspected(ValueError):
    """The regions of a view leave nothing of its frames to inspect."""


def ignored_cells(geometry: FrameGeometry, window: Window) -> Bool[np.ndarray, "p q"] | None:
    """The grid positions that show nothing inspected of the window's usual frames; None where there are none.

    Raises:
        NothingInspected: all of them.
    """
    ignored = geometry.ignored_cells(window.grid, window.frames.frame_wh)
    if ignored is not None and ignored.all():
        width, height = window.frames.frame_wh
        raise NothingInspected(
            f"the regions leave nothing of a frame of {width} x {height} px to inspect: "
            "correct build.regions, whose corners are x, y in pixels of the frame"
        )
    return ignored if ignored is not None and ignored.any() else None
