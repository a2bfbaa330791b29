"""Rejects grouped by how they look, without anybody's labels: by their sketch, and by where they differ.

The sketch is the frame's mean embedding in 32 numbers. What all frames of a view share says nothing of a defect, so
the median sketch is taken away first; place and size of the worst region are added on the same scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.decision import Decision

CUT = 1.1
"""How unlike two rejects of one kind may be, in units of the spread of the view's rejects."""
PLACE_WEIGHT = 3.0
"""A place a third of the picture away counts as much as the whole spread of sketches."""
MOST = 1500
"""Rejects that are compared with each other; of more, an even choice is."""


@dataclass(frozen=True)
class RejectKind:
    """Rejects that look alike, the most typical first; `count` counts those that were not compared, too."""

    view: str
    count: int
    typical: Sequence[Decision]


def kinds_of(rejects: Sequence[Decision]) -> list[RejectKind]:
    """The kinds among the rejects of several views, the most frequent first."""
    views = sorted({each.view for each in rejects})
    found = [kind for view in views for kind in _of_view([each for each in rejects if each.view == view])]
    return sorted(found, key=lambda kind: -kind.count)


def _of_view(rejects: Sequence[Decision]) -> list[RejectKind]:
    sketched = [each for each in rejects if each.sketch is not None]
    rest = [each for each in rejects if each.sketch is None]
    found = [RejectKind(rest[0].view, len(rest), rest)] if rest else []
    if not sketched:
        return found
    step = -(-len(sketched) // MOST)
    compared = sketched[::step]
    features = _features(compared)
    numbers = fcluster(linkage(features, "average"), CUT, "distance") if len(compared) > 1 else np.ones(1, int)
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


def _features(rejects: Sequence[Decision]) -> np.ndarray:
    """One row a reject, float64 [rejects, 32 + 2]."""
    sketches = np.array([each.sketch for each in rejects], np.float64)
    sketches -= np.median(sketches, axis=0)
    spread = float(np.median(np.linalg.norm(sketches, axis=1)))
    if spread > 0:
        sketches /= spread
    places = np.array([_place(each) for each in rejects], np.float64)
    return np.hstack([sketches, PLACE_WEIGHT * places])


def _place(decision: Decision) -> tuple[float, float]:
    """The middle of the worst region, in shares of the frame; the frame's own middle without one."""
    if not decision.regions or decision.size_wh_px is None:
        return 0.5, 0.5
    worst = max(decision.regions, key=lambda region: region.peak_ratio)
    left, top, right, bottom = worst.box_xyxy_px
    return (left + right) / 2 / decision.size_wh_px[0], (top + bottom) / 2 / decision.size_wh_px[1]
