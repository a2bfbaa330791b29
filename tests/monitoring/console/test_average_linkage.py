"""Groups of points, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from monitoring.console.average_linkage import groups_within


@pytest.mark.parametrize("cut", [0.3, 1.0, 2.5, 100.0])
@pytest.mark.parametrize("seed", range(5))
def test_groups_are_scipys(seed: int, cut: float) -> None:
    """Whatever they are called: around a few centres, and with no structure at all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, 2, (4, 5))
    points = np.concatenate([rng.normal(size=(40, 5)), centres[rng.integers(4, size=60)] + rng.normal(0, 0.3, (60, 5))])
    found = groups_within(points, cut)
    wanted = fcluster(linkage(points, "average"), cut, "distance")
    assert len(np.unique(found)) == len(np.unique(wanted)) == len({*zip(found.tolist(), wanted.tolist(), strict=True)})


def test_one_point_is_a_group_and_the_same_points_are_one() -> None:
    """Rejects of one picture sent twice have the same features."""
    assert groups_within(np.zeros((1, 3)), 2.5).tolist() == [0]
    assert groups_within(np.array([[0.0], [9.0], [0.0], [9.0], [0.0]]), 2.5).tolist() == [0, 1, 0, 1, 0]
