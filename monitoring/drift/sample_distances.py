"""How far a sample of one quantity is from another: Kolmogorov-Smirnov and Wasserstein."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import kolmogorov

if TYPE_CHECKING:
    from jaxtyping import Float64


def kolmogorov_smirnov(ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]) -> tuple[float, float]:
    """Largest difference of the two empirical distributions, and its asymptotic p-value. `ordered` is sorted."""
    below, above = _distributions(ordered, sample)
    distance = float(np.abs(below - above).max())
    effective = len(ordered) * len(sample) / (len(ordered) + len(sample))
    return distance, float(kolmogorov(np.sqrt(effective) * distance))


def wasserstein(ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]) -> float:
    """Area between the two empirical distributions: how far the mean frame moved, in the quantity's own unit."""
    ours, theirs = _distributions(ordered, sample)
    steps = np.diff(np.sort(np.concatenate([ordered, sample])))
    return float(np.abs(ours - theirs)[:-1] @ steps)


def _distributions(
    ordered: Float64[np.ndarray, "n"], sample: Float64[np.ndarray, "m"]
) -> tuple[Float64[np.ndarray, "both"], Float64[np.ndarray, "both"]]:
    """Both empirical distribution functions at every value of either sample, in rising order."""
    at = np.sort(np.concatenate([ordered, sample]))
    return (
        np.searchsorted(ordered, at, side="right") / len(ordered),
        np.searchsorted(np.sort(sample), at, side="right") / len(sample),
    )
