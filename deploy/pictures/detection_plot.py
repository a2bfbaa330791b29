"""The detection curve of a bank as a picture: how often planted defects are found, by their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.errors import CommandFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from softpatch.calibration.detection import DetectionCurve

SIZE_INCHES = (7.0, 4.2)
STEPS = 200


def plot_detection(curve: DetectionCurve, path: Path, *, title: str, px_per_mm: float | None = None) -> None:
    """Draw the curve, what was found of each class of sizes, and the size that is found nine times in ten.

    Raises UsageError where matplotlib is not installed, CommandFailed where the picture cannot be written.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 -- the evaluate extra
    except ImportError as error:
        raise UsageError("the plot needs the evaluate extra: pip install 'patchline[evaluate]'") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 -- after its backend is chosen

    figure, axis = plt.subplots(figsize=SIZE_INCHES)
    smallest = curve.sizes[0].low_px
    sizes = np.geomspace(smallest, curve.largest_px, STEPS)
    axis.plot(sizes, [curve.probability(float(size)) for size in sizes], color="#1f5fa8", label="fitted")
    for each in curve.sizes:
        if each.planted:
            middle = float(np.sqrt(each.low_px * each.high_px))
            axis.plot(middle, each.found / each.planted, "o", color="#1f5fa8")
            axis.annotate(
                f"{each.found} of {each.planted}",
                (middle, each.found / each.planted),
                xytext=(6, -10),
                textcoords="offset points",
                fontsize=8,
            )
    if curve.a90_px is not None:
        axis.axvline(curve.a90_px, color="#b3261e", linestyle="--", label=f"nine of ten from {curve.a90_px:.0f} px on")
        low = smallest if curve.a90_low_px is None else curve.a90_low_px
        high = curve.largest_px if curve.a90_high_px is None else curve.a90_high_px
        axis.axvspan(low, high, color="#b3261e", alpha=0.12, label="its interval (nine repetitions in ten)")
    axis.axhline(0.9, color="#888888", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_ylim(-0.02, 1.05)
    axis.set_xlabel("longer side of the planted defect, px of the frame")
    axis.set_ylabel("share found")
    axis.set_title(title, fontsize=10)
    axis.legend(fontsize=8, loc="lower right")
    axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter(mpl.ticker.ScalarFormatter())
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    if px_per_mm is not None:
        axis.secondary_xaxis("top", functions=_to_mm_and_back(px_per_mm)).set_xlabel("mm")
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise CommandFailed(f"cannot write {path}: {error}; name a .png in a folder you may write to") from error
    finally:
        plt.close(figure)


def _to_mm_and_back(px_per_mm: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return (lambda px: px / px_per_mm), (lambda mm: mm * px_per_mm)
