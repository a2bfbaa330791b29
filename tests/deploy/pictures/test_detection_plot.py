"""A bank's detection curve as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deploy.errors import CommandFailed
from deploy.pictures.detection_plot import plot_detection
from softpatch.calibration.detection import PlantResult, detection_curve
from softpatch.images.decode import decode

if TYPE_CHECKING:
    from pathlib import Path

    from softpatch.calibration.detection import DetectionCurve

RED = np.array([0xB3, 0x26, 0x1E])
"""Of the line at the size that is found nine times in ten."""


def curve(*, found_from_px: float) -> DetectionCurve:
    """Forty planted defects of 4 to 43 px, found from that size on."""
    return detection_curve([PlantResult("stain", 4.0 + n, 4.0 + n >= found_from_px) for n in range(40)], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("found_from_px", "marked"), [(20.0, True), (99.0, False)])
def test_the_size_found_nine_times_in_ten_is_marked_where_there_is_one(
    tmp_path: Path, found_from_px: float, *, marked: bool
) -> None:
    """A red line; nothing red where no size is found so often."""
    path = tmp_path / "plot.png"
    plot_detection(curve(found_from_px=found_from_px), path, title="line-1/camera-1", px_per_mm=12.5)
    pixels = decode(path.read_bytes()).astype(int)
    assert pixels.shape == (546, 910, 3)
    red = (np.abs(pixels - RED).max(axis=-1) < 8).any()
    assert bool(red) is marked


def test_a_plot_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """The folder is missing."""
    with pytest.raises(CommandFailed, match=r"^cannot write .*; name a \.png in a folder you may write to$"):
        plot_detection(curve(found_from_px=20.0), tmp_path / "none" / "plot.png", title="x")
