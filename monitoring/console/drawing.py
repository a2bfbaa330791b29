"""Small drawings as SVG paths: what a tile shows of the last scores, and how scores are spread."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

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
