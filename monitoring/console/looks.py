"""Rejects grouped by how they look, without anybody's labels: by their sketch, and by where they differ.

The sketch is the frame's mean embedding in 32 numbers. Its unit here is how far the view's passes usually lie from
their middle: two rejects that differ by less than good parts do are alike. Place and size of the worst region are
added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from monitoring.console.average_linkage import groups_within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingest.decision import Decision

CUT = 2.5
"""How unlike two rejects of one kind may be, on average, in units of the usual distance of passes."""
PLACE_WEIGHT = 6.0
"""Places two fifths of the picture apart are two kinds, whatever they look like."""
AREA_WEIGHT = 0.4
"""So is a region of 64 times the area."""
FEWEST_PASSES = 3
MOST = 1500
"""Rejects that are compared with each other; of more, an even choice is."""


@dataclass(frozen=True)
class RejectKind:
    """Rejects that look alike, the most typical first; `count` counts those that were not compared, too."""

    view: str
    count: int
    typical: Sequence[Decision]


def usual_distance(passes: Sequence[Decision]) -> float | None:
    """How far the sketches of passes lie from their middle, at the median; None where fewer than three have one."""
    sketches = [each.sketch for each in passes if each.sketch is not None]
    if len(sketches) < FEWEST_PASSES:
        return None
    known = np.array(sketches, np.float64)
    return float(np.median(np.linalg.norm(known - np.median(known, axis=0), axis=1))) or None


def kinds_of(rejects: Sequence[Decision], usual: Mapping[str, float | None]) -> list[RejectKind]:
    """The kinds among the rejects of several views, the most frequent first; `usual` is `usual_distance` of each."""
    views = sorted({each.view for each in rejects})
    found = [
        kind for view in views for kind in _of_view([each for each in rejects if each.view == view], usual.get(view))
    ]
    return sorted(found, key=lambda kind: -kind.count)


def _of_view(rejects: Sequence[Decision], unit: float | None) -> list[RejectKind]:
    sketched = [each for each in rejects if each.sketch is not None]
    rest = [each for each in rejects if each.sketch is None]
    found = [RejectKind(rest[0].view, len(rest), rest)] if rest else []
    if not sketched:
        return found
    step = -(-len(sketched) // MOST)
    compared = sketched[::step]
    features = _features(compared, unit)
    numbers = groups_within(features, CUT)
    for number in sorted(set(numbers.tolist())):
        members = np.flatnonzero(numbers == number)
        centre = features[members].mean(axis=0)
        nearest = members[np.argsort(np.linalg.norm(features[members] - centre, axis=1), kind="stable")]
        found.append(
            RejectKind(
                compared[0].view,
                round(len(members) * len(sketched) / len(compared)),
                [compared[place] for place in nearest],
            )
        )
    return found


def _features(rejects: Sequence[Decision], unit: float | None) -> np.ndarray:
    """One row a reject, float64 [rejects, 32 + 3]."""
    sketches = np.array([each.sketch for each in rejects], np.float64)
    sketches -= np.median(sketches, axis=0)
    own = float(np.median(np.linalg.norm(sketches, axis=1)))
    places = np.array([_place(each) for each in rejects], np.float64)
    return np.hstack([sketches / (unit or own or 1.0), places * [PLACE_WEIGHT, PLACE_WEIGHT, AREA_WEIGHT]])


def _place(decision: Decision) -> tuple[float, float, float]:
    """The middle of the worst region in shares of the frame, and its area in powers of two of the frame's."""
    if not decision.regions or decision.size_wh_px is None:
        return 0.5, 0.5, 0.0
    worst = max(decision.regions, key=lambda region: region.peak_ratio)
    left, top, right, bottom = worst.box_xyxy_px
    width, height = decision.size_wh_px
    area = max((right - left) * (bottom - top), 1.0) / (width * height)
    return (left + right) / 2 / width, (top + bottom) / 2 / height, float(np.log2(area))
