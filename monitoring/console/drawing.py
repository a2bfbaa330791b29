"""Small drawings as SVG paths: what a tile shows of the last scores, and how scores are spread."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from softpatch.calibration.detection import DetectionCurve

WIDTH, HEIGHT = 240.0, 48.0
TOP_RATIO = 2.0
"""Higher score ratios are drawn there."""


@dataclass(frozen=True)
class Sparkline:
    """A line through the score ratios, the height of the threshold, and a mark for each reject."""

    path: str
    threshold_y: float
    rejects: Sequence[tuple[float, float]]


def sparkline(ratios: Sequence[float | None], verdicts: Sequence[str]) -> Sparkline:
    """The drawing in a box of 240 x 48; what has no score leaves a gap."""
    step = WIDTH / max(1, len(ratios) - 1)
    path, drawing, rejects = [], False, []
    for place, (ratio, verdict) in enumerate(zip(ratios, verdicts, strict=True)):
        if ratio is None:
            drawing = False
            continue
        x, y = place * step, _y(ratio)
        path.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}")
        drawing = True
        if verdict == "fail":
            rejects.append((x, y))
    return Sparkline(" ".join(path), _y(1.0), rejects)


def histogram_path(values: Sequence[float], *, low: float, high: float, bins: int = 40) -> str:
    """A filled outline of how values are spread, in the same box."""
    counts, _ = np.histogram(np.asarray(values, np.float64), bins=bins, range=(low, max(high, low + 1e-9)))
    most = max(1, int(counts.max()))
    width = WIDTH / bins
    corners = [f"M0 {HEIGHT}"]
    for place, count in enumerate(counts.tolist()):
        y = HEIGHT - (HEIGHT - 2) * count / most
        corners.append(f"L{place * width:.1f} {y:.1f} L{(place + 1) * width:.1f} {y:.1f}")
    return " ".join([*corners, f"L{WIDTH} {HEIGHT} Z"])


DETECTION_STEPS = 60


@dataclass(frozen=True)
class DetectionDrawing:
    """How often planted defects are found, by the log of their size, in a box of 240 x 48.

    A dot for each class of sizes: x, y, how many were found and planted. `a90_x` and the ends of its interval are None
    where no size that was planted is found nine times in ten.
    """

    path: str
    dots: Sequence[tuple[float, float, int, int]]
    line_y: float
    a90_x: float | None
    interval_x: tuple[float, float] | None
    smallest_px: float
    largest_px: float


def detection_drawing(curve: DetectionCurve) -> DetectionDrawing:
    """The drawing of a bank's detection curve."""
    smallest, largest = curve.sizes[0].low_px, curve.largest_px
    span = max(np.log(largest / smallest), 1e-9)

    def x(size_px: float) -> float:
        return float(WIDTH * np.clip(np.log(size_px / smallest) / span, 0, 1))

    def y(share: float) -> float:
        return HEIGHT - 2 - (HEIGHT - 4) * share

    sizes = np.geomspace(smallest, largest, DETECTION_STEPS).tolist()
    corners = [f"{x(size):.1f} {y(curve.probability(size)):.1f}" for size in sizes]
    dots = [
        (x(float(np.sqrt(each.low_px * each.high_px))), y(each.found / each.planted), each.found, each.planted)
        for each in curve.sizes
        if each.planted
    ]
    known = curve.a90_px is not None
    low, high = curve.a90_low_px or smallest, curve.a90_high_px or largest
    return DetectionDrawing(
        path=f"M{' L'.join(corners)}",
        dots=dots,
        line_y=y(0.9),
        a90_x=None if curve.a90_px is None else x(curve.a90_px),
        interval_x=(x(low), x(high)) if known else None,
        smallest_px=smallest,
        largest_px=largest,
    )


def _y(ratio: float) -> float:
    return HEIGHT - 2 - (HEIGHT - 4) * min(ratio, TOP_RATIO) / TOP_RATIO


def instead_of_a_picture(sentence: str) -> bytes:
    """An SVG that says why there is no picture."""
    lines = wrap(sentence, 30) if " " in sentence else wrap(sentence, 16)
    first = 90 - 10 * (len(lines) - 1)
    texts = "".join(f'<text x="160" y="{first + 20 * n}">{escape(line)}</text>' for n, line in enumerate(lines))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 180" width="320" height="180" '
        'font-family="system-ui, sans-serif" font-size="15" text-anchor="middle" fill="#c9d3dc">'
        f'<rect width="320" height="180" fill="#0b0f13"/>{texts}</svg>'
    ).encode()
